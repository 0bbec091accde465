"""How far training climbs: what the user allows for all tiers together, and what a step up must still gain.

Shapes: B rows.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from penjing.core.allowance import Allowance
from penjing.core.config import Section
from penjing.core.energy import JOULES_PER_WATT_HOUR, estimated
from penjing.core.errors import PlanError
from penjing.core.machine import Machine
from penjing.core.paired import paired
from penjing.core.types import Estimate, NDArray

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"MB": 1e6, "GB": 1e9}
_JOULES = {"Wh": JOULES_PER_WATT_HOUR, "kWh": 1000 * JOULES_PER_WATT_HOUR}


def _amount(units: dict[str, float]) -> Any:
    def check(value: str) -> str:
        if _in(value, units) is None:
            raise ValueError(f"expected a number with a unit ({', '.join(units)}), such as 10{next(iter(units))}")
        return value

    return AfterValidator(check)


def _in(value: str, units: dict[str, float]) -> float | None:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", value)
    return float(found[1]) * units[found[2]] if found and found[2] in units else None


class BudgetConfig(Section):
    """What all tiers together may take to learn. A tier that does not fit is left out, and so are those above one that no longer pays."""

    time: Annotated[str, _amount(_SECONDS)] | None = None
    """Time to learn, such as 90s, 10m or 2h."""
    memory: Annotated[str, _amount(_BYTES)] | None = None
    """Memory that a tier may take while it learns, such as 8GB."""
    energy: Annotated[str, _amount(_JOULES)] | None = None
    """Energy to learn, such as 50Wh."""
    money: float | None = Field(default=None, ge=0)
    """Money to learn, in price.currency, by the prices of the price section."""
    gain: float | None = Field(default=None, ge=0, le=1)
    """Credit a row (accuracy, say) that a step up must gain: once one is shown on validation rows to gain less, no dearer tier is learnt.
    A tier with a teacher is no step up: it is neither judged nor left out by this."""

    gain_per_watt_hour: float | None = Field(default=None, ge=0)
    """Quality (0 to 1: the share of right answers, say) that a tier must gain for each watt-hour while it learns: once an epoch gains less on the
    validation rows, the tier stops with the best that it has. Asked of what is learnt in epochs by torch."""

    def limit(self, name: str) -> float | None:
        """Return `time` in seconds, `memory` in bytes or `energy` in joules."""
        value = getattr(self, name)
        return None if value is None else _in(value, {"time": _SECONDS, "memory": _BYTES, "energy": _JOULES}[name])


@dataclass
class Climb:
    """What has been spent, and how well the best tier so far does."""

    budget: BudgetConfig
    per_kwh: float
    per_hour: float
    seconds: float = 0.0
    joules: float = 0.0
    best: NDArray | None = None
    """(B,) credit of the best tier on the validation rows."""
    stopped: str | None = None
    """Why nothing more is learnt."""

    def refuses(self, estimate: Estimate, step_up: bool = True) -> str | None:
        """Return why a tier of this `estimate` is not begun, or None. step_up: whether it is learnt to do better than those before it."""
        if self.stopped and step_up:
            return self.stopped
        for name, unit, more, limit, spent in self._asked(estimate, estimate.seconds, estimate.memory_bytes):
            if limit is not None and spent + more > limit:
                return (
                    f"it needs about {more:,.4g} {unit}".rstrip()
                    + f", and of budget.{name} {max(limit - spent, 0):,.4g} {unit}".rstrip()
                    + " are left."
                )
        return None

    def matters(self, estimate: Estimate) -> bool:
        """Return whether the budget might refuse a tier of this `estimate`, were it at the high end of its range."""
        asked = self._asked(estimate, estimate.seconds_high or 0.0, estimate.memory_high or 0)
        return any(limit is not None and spent + more > limit for _, _, more, limit, spent in asked)

    def _asked(self, estimate: Estimate, seconds: float, memory_bytes: int) -> list[tuple[str, str, float, float | None, float]]:
        """Return (name, unit, what a tier takes, what is allowed, what is spent) of each part of the budget."""
        joules = seconds * self.watts(estimate)
        return [
            ("time", "s", seconds, self.budget.limit("time"), self.seconds),
            ("memory", "bytes", float(memory_bytes), self.budget.limit("memory"), 0.0),
            ("energy", "J", joules, self.budget.limit("energy"), self.joules),
            ("money", "", self.money(seconds, joules), self.budget.money, self.money(self.seconds, self.joules)),
        ]

    def watts(self, estimate: Estimate) -> float:
        """Return what learning draws: as was seen in a trial, or of the tiers before; of the first, from the cores that it keeps busy."""
        if estimate.watts is not None:
            return estimate.watts
        cores = Machine.here().cores
        return self.joules / self.seconds if self.seconds else estimated(cores, 1.0, cores).joules

    def expects(self, estimate: Estimate) -> None:
        """Count a tier of this `estimate` as learnt: what a plan does before anything is."""
        joules = estimate.seconds * self.watts(estimate)
        self.seconds, self.joules = self.seconds + estimate.seconds, self.joules + joules

    def costs(self, estimate: Estimate) -> dict[str, float]:
        """Return energy and money of a tier, for the plan."""
        joules = estimate.seconds * self.watts(estimate)
        return {"joules": joules, "money": self.money(estimate.seconds, joules)}

    def allowance(self, estimate: Estimate) -> Allowance:
        """Return what a tier may spend that is begun at this moment, should it take longer than its `estimate`: what is left."""
        seconds, joules = (math.inf if limit is None else limit for limit in (self.budget.limit("time"), self.budget.limit("energy")))
        left = max(seconds - self.seconds, 0.0)
        if self.budget.money is not None and (a_second := self.money(1.0, self.watts(estimate))) > 0:
            left = min(left, max(self.budget.money - self.money(self.seconds, self.joules), 0.0) / a_second)
        return Allowance(left, max(joules - self.joules, 0.0), self.budget.gain_per_watt_hour or 0.0)

    def learnt(self, name: str, seconds: float, joules: float, credit_B: NDArray | None) -> None:
        """Note what the tier `name` took and, where it is a step up, how well it does; stop where it is shown to gain less than `budget.gain`."""
        self.seconds += seconds
        self.joules += joules
        if credit_B is None or not len(credit_B):
            return
        if self.best is not None and self.budget.gain is not None:
            gain = paired(credit_B, self.best)
            if gain.high < self.budget.gain:
                self.stopped = (
                    f"the step up to {name} gained {gain.value:+.3f} a row ({gain.low:+.3f} to {gain.high:+.3f}) on the validation rows, "
                    f"less than budget.gain ({self.budget.gain:g})."
                )
        if self.best is None or credit_B.mean() > self.best.mean():
            self.best = credit_B

    def money(self, seconds: float, joules: float) -> float:
        return joules / JOULES_PER_WATT_HOUR / 1000 * self.per_kwh + seconds / 3600 * self.per_hour


def nothing_left(left_out: dict[str, str]) -> PlanError:
    """Return the error of a budget that not even the first tier fits."""
    return PlanError("No tier fits the budget:\n" + "\n".join(f"Tier {name!r}: {why}" for name, why in left_out.items()))
