"""leaderboard + credit of each row → the price list: what each step up gains, proved on the same rows, and what it costs. Judges nothing.

A step is {kind, from, to, of, gain, training: {seconds, joules, money}, per_1000: {seconds, watt_hours, money}, bytes, currency}.
kind: "climb" (a tier to the next), "blend" (the last tier to the reference), "cascade" (the reference to the cascade), or "compared": any other
pair, which the recommendation may rest on.
gain: core.paired.Paired as a mapping, with "from" and "to" (mean credit) and "proven" ("better", "worse" or null); `of` names what is compared.
Every cost is {from, to, more, low, high}: both totals, their difference, and its range where one side is an estimate; null where unknown.

Shapes: B test rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from pydantic import Field

from penjing.core.config import Section
from penjing.core.energy import JOULES_PER_WATT_HOUR
from penjing.core.paired import Paired, paired
from penjing.core.report import figure
from penjing.core.types import NDArray

Entry = Mapping[str, Any]
LEVEL = 0.05
"""p-value up to which a difference is called proven, beside an interval without 0."""


class PriceConfig(Section):
    """What energy and the machine cost, for the price list."""

    electricity: float = Field(default=0.2, ge=0)
    """Price of a kilowatt-hour of electricity, in `currency`; the default is about what a household pays."""
    machine: float = Field(default=0.0, ge=0)
    """Price of an hour of this machine, in `currency`, electricity aside; 0 for one that is owned, whose price is not known."""
    currency: str = Field(default="USD", min_length=1, max_length=12)
    """What prices are written in."""


@dataclass(frozen=True, slots=True)
class _Cost:
    value: float
    low: float
    high: float

    def times(self, factor: float) -> _Cost:
        return _Cost(self.value * factor, self.low * factor, self.high * factor)

    def plus(self, amount: float) -> _Cost:
        return _Cost(self.value + amount, self.low + amount, self.high + amount)


def steps(entries: Sequence[Entry], credit: Mapping[str, NDArray], config: PriceConfig, reference: str | None = None) -> list[dict[str, Any]]:
    """Return the price of each step on the leaderboard `entries`, and of every other pair of them.

    credit: (B,) of core.protocols.Task.credit on the same test rows, by the entries' names. reference: the entry that the cascade is held
    against; the one of kind "reference" where not given, else the last tier of the cascade.
    """
    return [_step(kind, before, after, credit, config) for kind, before, after in _pairs(entries, reference)]


def _pairs(entries: Sequence[Entry], reference: str | None) -> Iterator[tuple[str, Entry, Entry]]:
    """Yield (kind, from, to): the steps of the leaderboard in its order, each followed by what else `to` is compared with."""
    steps = {entry["tier"]: _below(entry, entries[:i], reference) for i, entry in enumerate(entries)}
    kinds = {"tier": "climb", "reference": "blend", "cascade": "cascade"}
    found = [(before, after) for before, after in combinations(entries, 2)]
    for before, after in sorted(found, key=lambda pair: (entries.index(pair[1]), steps[pair[1]["tier"]] != pair[0]["tier"])):
        yield (kinds[after.get("kind", "tier")] if steps[after["tier"]] == before["tier"] else "compared"), before, after


def _below(entry: Entry, before: Sequence[Entry], reference: str | None) -> str | None:
    """Return the name of the entry that `entry` is a step up from; `before`: those that stand before it."""
    names = [e["tier"] for e in before]
    if entry.get("kind") == "cascade":
        blends = [e["tier"] for e in before if e.get("kind") == "reference"]
        wanted = [reference, *blends, *reversed(entry.get("of") or [])]
    elif entry.get("kind") == "reference":
        wanted = [*reversed(entry.get("of") or [])]
    else:
        wanted = []
    return next((name for name in [*wanted, *names[::-1]] if name in names), None)


def _step(kind: str, before: Entry, after: Entry, credit: Mapping[str, NDArray], config: PriceConfig) -> dict[str, Any]:
    ours_B, theirs_B = credit[after["tier"]], credit[before["tier"]]
    gain = paired(ours_B, theirs_B)
    means = {"from": float(theirs_B.mean()), "to": float(ours_B.mean())}
    costs = [_costs(entry, config) for entry in (before, after)]
    change = {name: _change(costs[0][name], costs[1][name]) for name in costs[0]}
    return {
        "kind": kind,
        "from": before["tier"],
        "to": after["tier"],
        "of": _named(after, means["to"]),
        "gain": {**asdict(gain), **means, "proven": _proven(gain)},
        "training": {name: change[f"training_{name}"] for name in ("seconds", "joules", "money")},
        "per_1000": {name: change[name] for name in ("seconds", "watt_hours", "money")},
        "bytes": change["bytes"],
        "currency": config.currency,
    }


def _costs(entry: Entry, config: PriceConfig) -> dict[str, _Cost | None]:
    learnt, energy = entry.get("seconds_to_learn"), entry.get("energy_to_learn")
    rate, size, watt_hours = (figure(entry, name) for name in ("predictions_per_second", "size_bytes", "watt_hours_per_1000"))
    seconds = 1000 / rate["value"] if rate and rate["value"] else None
    joules = _Cost(energy["joules"], energy["low"], energy["high"]) if energy else None
    answers = _of(watt_hours)
    return {
        "training_seconds": None if learnt is None else _Cost(learnt, learnt, learnt),
        "training_joules": joules,
        "training_money": _money(joules.times(1 / JOULES_PER_WATT_HOUR) if joules else None, learnt, config),
        "seconds": None if seconds is None else _Cost(seconds, seconds, seconds),
        "watt_hours": answers,
        "money": _money(answers, seconds, config),
        "bytes": _of(size),
    }


def _of(measured: Mapping[str, Any] | None) -> _Cost | None:
    if measured is None:
        return None
    low, high = (measured["value"] if measured.get(end) is None else measured[end] for end in ("low", "high"))
    return _Cost(measured["value"], low, high)


def _money(watt_hours: _Cost | None, seconds: float | None, config: PriceConfig) -> _Cost | None:
    if watt_hours is None or seconds is None:
        return None
    return watt_hours.times(config.electricity / 1000).plus(seconds / 3600 * config.machine)


def _change(before: _Cost | None, after: _Cost | None) -> dict[str, float] | None:
    """Return both totals and their difference. The watts of a core are as uncertain on both sides alike, so low goes with low and high with high."""
    if before is None or after is None:
        return None
    ends = sorted([after.low - before.low, after.high - before.high, after.value - before.value])
    return {"from": before.value, "to": after.value, "more": after.value - before.value, "low": ends[0], "high": ends[-1]}


def _named(entry: Entry, mean: float) -> str:
    """Return the name of the measurement whose value is the `mean` credit; "credit" where none is."""
    return next((str(m["name"]) for m in entry["measurements"] if abs(m["value"] - mean) < 1e-9), "credit")


def _proven(gain: Paired) -> str | None:
    if gain.p > LEVEL or gain.low <= 0 <= gain.high:
        return None
    return "better" if gain.value > 0 else "worse"
