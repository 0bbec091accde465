"""report + limits → verdicts: what a report must hold before it is packed. Judges; measures nothing.

The `release:` section holds the user's limits; DEFAULTS and two that depend on the report stand beside it: the tier that serves beats the best
constant answer, and nothing leaked. A limit of the user's takes the place of the default of the same name. What is not measured does not hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penjing.core import plugins
from penjing.core.errors import BadRequest, ConfigError, GateClosed, nearest
from penjing.core.limits import Limit
from penjing.core.protocols import Task
from penjing.core.types import Batch, Row

Release = dict[str, Limit]
"""The `release:` section: a limit for each measurement, by its name."""
Measured = Mapping[str, Any]
"""core.types.Measurement as a mapping."""

HANDED_OVER: Release = {
    "parity": Limit(at_least=0.995),
    "largest_difference": Limit(at_most=1e-3),
    "score_difference": Limit(at_least=-0.005),
}
"""What holds at every hand-over."""
PROMISED = ("agreement_with_reference", "credit_lost")
"""Measured of a cascade on the test rows."""
LEAKS: Release = {"leaked_rows": Limit(at_most=0)}
_REMEDY = "Add data, choose other tiers, change the limit under release: in penjing.yaml, or let it pass with --override-by NAME --because REASON."
_NOTHING_STANDS_OUT = "nothing stands out, as where another runtime or precision rounds otherwise"


@dataclass(frozen=True, slots=True)
class Override:
    """Who let a report pass whose limits do not hold, and why."""

    by: str
    reason: str

    @classmethod
    def of(cls, by: str | None, because: str | None) -> Override | None:
        """Return what --override-by and --because ask for; None where neither is given. Raises BadRequest where one of them is missing or empty."""
        if by is None and because is None:
            return None
        if not (by or "").strip() or not (because or "").strip():
            raise BadRequest("An override is signed into the report, so it needs a name and a reason: --override-by NAME --because REASON.")
        return cls(str(by).strip(), str(because).strip())


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one limit holds."""

    name: str
    limit: Limit
    default: bool
    """Whether the user left the limit as it comes."""
    measured: Measured | None
    """The measurement nearest to breaking it; None where there is none."""
    problem: str = ""
    """Why it cannot be judged."""

    @property
    def by(self) -> float | None:
        """By how much it is broken, in the measurement's unit; None where it holds or cannot be judged."""
        if self.measured is None or self.problem:
            return None
        short = self.limit.short(_judged(self.measured, self.limit))
        return short if short > 0 else None

    @property
    def holds(self) -> bool:
        return not self.problem and self.by is None

    def as_json(self) -> dict[str, Any]:
        """Return the line of the report's `gates`."""
        ends = {key: None if self.measured is None else self.measured[key] for key in ("value", "low", "high")}
        return {"name": self.name, "limit": self.limit.described(), **ends, "holds": self.holds, "by": self.by, "default": self.default}

    def __str__(self) -> str:
        """Return what is broken, and by how much."""
        limit = f"{'the default limit' if self.default else 'the limit'} of {self.limit}"
        if self.measured is None or self.problem:
            return f"{self.name} cannot be held to {limit}: {self.problem}"
        low, high, n = (self.measured[key] for key in ("low", "high", "n"))
        unit = f" {self.measured['unit']}" if self.measured["unit"] else ""
        found = f"{self.name} is {self.measured['value']:.4g}{unit}"
        found += "" if low is None else f" [{low:.4g}, {high:.4g}]"
        found += "" if n is None else f" on {n} rows"
        if self.limit.on == "worse_end":
            found += f", at its worse end {_judged(self.measured, self.limit):.4g}"
        if self.by is None:
            return f"{found}, within {limit}."
        return f"{found}: {self.by:.3g}{unit} {'below' if self.limit.bound == 'at_least' else 'above'} {limit}."


def gate(report: Mapping[str, Any], release: Release, override: Override | None) -> dict[str, Any]:
    """Return {gates, override} for the report. Raises GateClosed where a limit does not hold and nobody answers for it."""
    verdicts = judge(report, release)
    insist(verdicts, override)
    return told(verdicts, override)


def judge(report: Mapping[str, Any], release: Release) -> list[Verdict]:
    """Judge the entry that serves by every limit, and every hand-over in the report by the limits on hand-overs."""
    serving = next(entry for entry in report["leaderboard"] if entry["tier"] == report["serves"])
    handed = [m for entry in report["leaderboard"] for m in entry.get("parity") or []]
    cascade = (report.get("cascade") or {}).get("test") or [] if serving.get("kind") == "cascade" else []
    measured = [*serving["measurements"], *cascade, *handed, *(report.get("baseline") or []), *(report.get("leaks") or [])]
    limits = {**_beats(report, serving, release), **HANDED_OVER, **LEAKS, **release}
    return [_verdict(name, limit, name not in release, measured) for name, limit in limits.items()]


def insist(verdicts: Sequence[Verdict], override: Override | None) -> None:
    """Raise GateClosed where a limit does not hold and nobody answers for it: every broken limit, by how much, and what to do."""
    broken = [str(verdict) for verdict in verdicts if not verdict.holds]
    if broken and override is None:
        count = "A limit does not hold" if len(broken) == 1 else f"{len(broken)} limits do not hold"
        raise GateClosed("\n".join([f"{count}, so nothing is packed:", *(f"- {one}" for one in broken), _REMEDY]))


def told(verdicts: Sequence[Verdict], override: Override | None) -> dict[str, Any]:
    """Return {gates, override} for the report; the override only where there was something to override."""
    used = override is not None and not all(verdict.holds for verdict in verdicts)
    return {
        "gates": [verdict.as_json() for verdict in verdicts],
        "override": {"by": override.by, "reason": override.reason} if used and override is not None else None,
    }


def held(
    measured: Sequence[Measured], where: str, why: Callable[[], str | None], release: Release, override: Override | None = None
) -> list[Verdict]:
    """Judge one hand-over as soon as it is measured.

    where: "learnt → exported of tier 'linear'"; why: asked only where a limit does not hold, and returns what differs first
    (core/difference.py). Raises GateClosed with both, unless `override` lets it pass.
    """
    limits = {name: release.get(name, limit) for name, limit in HANDED_OVER.items()}
    verdicts = [_verdict(name, limit, name not in release, measured) for name, limit in limits.items()]
    broken = [str(verdict) for verdict in verdicts if not verdict.holds]
    if broken and override is None:
        first = f"First difference: {why() or _NOTHING_STANDS_OUT}."
        remedy = (
            "Make the side that changed again (delete its folder and run the same command), change the limit under release: in penjing.yaml, "
            "or let it pass with --override-by NAME --because REASON."
        )
        raise GateClosed("\n".join([f"Parity {where} does not hold.", first, *(f"- {one}" for one in broken), remedy]))
    return verdicts


def known_measurements(task: Task, rows: Sequence[Row]) -> set[str]:
    """Return the names of all that can be measured for `task`: its scores, tried on the labelled `rows` (one will do), and those of every check."""
    outputs: Batch = {name: np.zeros((len(rows), spec.width), np.float32) for name, spec in task.outputs.items()}
    with np.errstate(all="ignore"):
        scores = [m.name for m in task.score(task.decode(outputs, rows), rows)]
    checks = (plugins.load("checks", name) for name in plugins.names("checks"))
    names = (name for check in checks for name in getattr(sys.modules[check.__module__], "MEASURES", ()))
    return {*scores, *PROMISED, *(name.format(score=scores[0]) for name in names)}


def refuse_unknown(release: Release, known: Iterable[str]) -> None:
    """Raise ConfigError for a limit on something that nothing measures."""
    known = set(known)
    for name in release:
        if name not in known:
            raise ConfigError(f"release.{name}: nothing measures {name!r}. {nearest(name, known)}")


def _beats(report: Mapping[str, Any], serving: Mapping[str, Any], release: Release) -> Release:
    """Return the limit that a model earns its keep by: the worse end of what tiers are ranked by is no worse than the best constant answer.

    Where that answer is unmeasured, so is the limit: it closes, unless the user has one for the same measurement.
    """
    baseline = next(iter(report.get("baseline") or []), None)
    if baseline is None:
        ranked = next((m["name"] for m in [*serving["measurements"], *(serving.get("validation") or [])]), "score")
        return {} if ranked in release else {f"baseline_{ranked}": Limit(at_least=0)}
    name = str(baseline["name"]).removeprefix("baseline_")
    bound = "at_least" if baseline["better"] == "higher" else "at_most"
    return {name: Limit.model_validate({bound: float(baseline["value"]), "on": "worse_end"})}


def _verdict(name: str, limit: Limit, default: bool, measured: Sequence[Measured]) -> Verdict:
    """Judge the measurement called `name`; of several, as of several hand-overs, the one nearest to breaking the limit."""
    found = [m for m in measured if m["name"] == name]
    unjudged = Verdict(name, limit, default, None)
    if not found:
        return replace(unjudged, problem=f"it is unmeasured. {nearest(name, {m['name'] for m in measured})}")
    if limit.on == "worse_end" and any(m[_worse(limit)] is None for m in found):
        return replace(unjudged, measured=found[0], problem="it has no interval to take the worse end of. Judge it on: value.")
    return replace(unjudged, measured=max(found, key=lambda m: limit.short(_judged(m, limit))))


def _judged(measured: Measured, limit: Limit) -> float:
    return float(measured["value"] if limit.on == "value" else measured[_worse(limit)])


def _worse(limit: Limit) -> str:
    return "low" if limit.bound == "at_least" else "high"
