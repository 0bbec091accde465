"""config + snapshot → what each tier will cost, or why it cannot work here, before anything is spent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, get_args, runtime_checkable

from penjing.core import plugins
from penjing.core.cascade import NAME as CASCADE
from penjing.core.config import Section
from penjing.core.errors import BadRequest, PlanError, nearest
from penjing.core.learning.tiers import REFERENCE, TierConfig
from penjing.core.machine import Machine, free_disk_bytes
from penjing.core.snapshot import Snapshot
from penjing.core.types import Estimate

SAMPLE = 200
"""Rows that a learner looks at to say what it will cost."""
_CHEAPER_TUNE = ("full", "partial", "frozen")
"""Ways to tune, dearest first."""
_PIECES, _BATCHES = (2048, 512), (8, 1)
_TOLD = 3
"""Remedies that a refusal names."""

Formula = Callable[[int], Estimate]
Try = Callable[[TierConfig, Formula], Estimate | None]
"""Tries a tier with some of the rows; None where that cannot be."""


@runtime_checkable
class HasCheaper(Protocol):
    """A learner that knows cheaper ways to learn about the same; asked for by type. Of others the options that all share are asked."""

    @classmethod
    def cheaper(cls, options: Any) -> Sequence[Section]:
        """Return options that cost less than `options`, the best first."""


class Budget(Protocol):
    """What all tiers together may spend, as far as a plan asks it."""

    def refuses(self, estimate: Estimate, step_up: bool = True) -> str | None: ...
    def matters(self, estimate: Estimate) -> bool: ...
    def expects(self, estimate: Estimate) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    tiers: list[TierConfig]
    estimates: dict[str, Estimate]
    left_out: dict[str, str]
    """Tiers that nobody asked for by name and that cannot work here, with the reason."""
    too_dear: dict[str, str] = field(default_factory=dict)
    """Tiers that are not expected to fit the budget, with the reason and what would fit."""
    changed: dict[str, str] = field(default_factory=dict)
    """Tiers that nobody asked for by name and that are learnt in a cheaper way, so that they fit the budget, with what was changed."""

    def as_json(self) -> dict[str, object]:
        return {
            "estimates": {name: asdict(e) for name, e in self.estimates.items()},
            "left_out": self.left_out,
            "too_dear": self.too_dear,
            "changed": self.changed,
        }


@dataclass(frozen=True, slots=True)
class _Planner:
    """What estimates are made from."""

    snapshot: Snapshot
    folder: Path
    machine: Machine
    sample: Sequence[Any]
    tries: Try | None
    always: bool
    budget: Budget | None
    workers: Callable[[Any], int]

    def count(self, tier: TierConfig) -> int:
        return self.snapshot.counts["train"] + (self.snapshot.counts["unlabelled"] if tier.teacher is not None else 0)

    def formula(self, tier: TierConfig) -> Formula:
        learner, task = plugins.load("learners", tier.learner), self.snapshot.task
        return lambda rows: learner.plan(tier.options, self.sample, self.snapshot.columns, task.outputs, self.machine, rows)

    def estimate(self, tier: TierConfig) -> Estimate:
        """Return what `tier` will cost, by a trial where that is worth it. Raises PlanError where the tier cannot work."""
        formula = self.formula(tier)
        reckoned = formula(self.count(tier))
        if self.tries is not None and self._worth(reckoned):
            reckoned = replace(self.tries(tier, formula) or reckoned, told=reckoned.told)
        return reckoned.held_by(self.workers(tier.options))

    def _worth(self, reckoned: Estimate) -> bool:
        """Return whether `reckoned` is to be had more exactly. What is far beyond the memory is not even tried."""
        free = self.machine.memory_bytes
        if (reckoned.memory_low or 0) > free:
            return False
        dear = (reckoned.seconds_high or 0) > WORTH_TRYING_SECONDS or (reckoned.memory_high or 0) > free / 2
        return self.always or dear or (self.budget is not None and self.budget.matters(reckoned))


WORTH_TRYING_SECONDS = 300.0
"""What a tier may take, at the most, by its formula, without being tried: a trial takes some ten seconds."""


def plan(
    tiers: Sequence[TierConfig],
    asked_for: bool,
    snapshot: Snapshot,
    folder: Path,
    tries: Try | None = None,
    budget: Budget | None = None,
    always: bool = True,
    workers: Callable[[Any], int] = lambda options: 1,
) -> Plan:
    """Estimate every tier. One that cannot work is refused where the user asked for it, and left out, with the reason, where not.

    tries: tries a tier out; always: every tier, and not only those of which it matters; workers: how many learn a tier of these
    options together. A tier that does not fit the `budget` is learnt in a cheaper
    way where the user did not ask for it by name.
    Raises PlanError (or MissingLibrary) with every refused tier and what to change.
    """
    _check_names(tiers)
    _check_teachers(tiers)
    planner = _Planner(snapshot, folder, Machine.here(), snapshot.rows("train")[:SAMPLE], tries, always, budget, workers)
    found = Plan([], {}, {})
    refused: dict[str, BadRequest] = {}
    taken: dict[str, TierConfig] = {}
    for tier in sorted(tiers, key=lambda tier: tier.teacher is not None):
        try:
            _reads(tier.processor, snapshot.task.inputs)
            estimate = planner.estimate(tier)
            _fits(tier, estimate, planner)
        except BadRequest as error:
            refused[tier.name] = error
            continue
        taken[tier.name], found.estimates[tier.name] = _affordable(tier, estimate, asked_for, planner, found)
    if refused and (asked_for or not taken):
        first = next(iter(refused.values()))
        raise type(first)("\n".join(f"Tier {name!r}: {error}" for name, error in refused.items()))
    found.tiers.extend(taken[tier.name] for tier in tiers if tier.name in taken)
    found.left_out.update({name: str(error) for name, error in refused.items()})
    return found


def beside(actual: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each tier that was learnt: what it took beside what was reckoned before.

    actual: tier → seconds, memory_bytes, joules, why it stopped early (or None), and `estimate`, with its `watts`. A tier of which something was not
    measured has None there. Each figure has `estimate`, `low`, `high`, `actual` and `ratio` (estimate / actual).
    """
    rows = []
    for name, took in actual.items():
        told = took["estimate"]
        joules = [told[key] * told["watts"] for key in ("seconds", "seconds_low", "seconds_high")]
        rows.append(
            {
                "tier": name,
                "probed": told["probed"],
                "stopped": took.get("stopped"),
                "seconds": _figure([told["seconds"], told["seconds_low"], told["seconds_high"]], took.get("seconds")),
                "memory_bytes": _figure([told["memory_bytes"], told["memory_low"], told["memory_high"]], took.get("memory_bytes")),
                "joules": _figure(joules, took.get("joules")),
            }
        )
    return rows


def _figure(told: Sequence[float] | None, took: float | None) -> dict[str, float | None]:
    estimate, low, high = told or (None, None, None)
    ratio = estimate / took if estimate is not None and took else None
    return {"estimate": estimate, "low": low, "high": high, "actual": took, "ratio": ratio}


def cheaper(tier: TierConfig, memory: bool = False) -> Iterator[tuple[TierConfig, str]]:
    """Yield `tier` learnt in ways that take less time (or memory), the best first, each with what is changed: "epochs: 1, tune: frozen"."""
    learner = plugins.load("learners", tier.learner)
    if isinstance(learner, HasCheaper):
        others = [one.model_dump() for one in learner.cheaper(tier.options)]
        changes = [{key: value for key, value in one.items() if value != getattr(tier.options, key)} for one in others]
    else:
        changes = _of_memory(tier.options) if memory else _of_time(tier.options)
    for change in changes:
        told = ", ".join(f"{key}: {str(value).lower() if isinstance(value, bool) else value}" for key, value in change.items())
        if (options := _changed(tier.options, change)) is not None:
            yield TierConfig(tier.learner, tier.name, options, tier.teacher), told


def _changed(options: Section, change: Mapping[str, Any]) -> Section | None:
    """Return `options` with the `change`, without those of them that would do nothing beside it; None where it cannot be."""
    kind, fields = type(options), type(options).model_fields
    values = {name: getattr(options, name) for name, field in fields.items() if field.is_required()} | dict(change)
    try:
        found = kind.model_validate(values)
        for name, field in fields.items():
            if name not in values and (value := getattr(options, name)) != field.get_default(call_default_factory=True):
                with suppress(ValueError):
                    found, values = kind.model_validate({**values, name: value}), {**values, name: value}
    except ValueError:
        return None
    return found


def _of_time(options: Section) -> list[dict[str, Any]]:
    """Fewer epochs first; then less of the model, with as many epochs and with fewer."""
    fewer = _epochs(options)
    changes: list[dict[str, Any]] = [{"epochs": epochs} for epochs in fewer]
    for tune in _tunes(options):
        changes += [{"tune": tune}] if tune == "frozen" else [{"tune": tune}, *({"tune": tune, "epochs": epochs} for epochs in fewer)]
    return changes


def _of_memory(options: Section) -> list[dict[str, Any]]:
    """Smaller pieces first, which cost the least; then computing again, fewer rows in a step, and less of the model."""
    changes: list[dict[str, Any]] = [{"piece": piece} for piece in _PIECES if piece < (getattr(options, "piece", None) or 0)]
    if getattr(options, "checkpointing", None) is False:
        changes += [{"checkpointing": True, **one} for one in ({}, *changes[-1:])]
    if not hasattr(options, "piece"):
        changes += [{"batch_size": rows} for rows in _BATCHES if rows < (getattr(options, "batch_size", None) or 0)]
    return changes + [{"tune": tune} for tune in _tunes(options)]


def _epochs(options: Section) -> list[int]:
    found, left = [], int(getattr(options, "epochs", None) or 1) if getattr(options, "tune", "full") != "frozen" else 1
    while left > 1:
        left //= 2
        found.append(left)
    return found


def _tunes(options: Section) -> list[str]:
    """Return the ways to tune that learn less than the one asked for, as far as the learner has them."""
    asked = getattr(options, "tune", None)
    if asked not in _CHEAPER_TUNE:
        return []
    there = get_args(type(options).model_fields["tune"].annotation)
    return [tune for tune in _CHEAPER_TUNE[_CHEAPER_TUNE.index(asked) + 1 :] if tune in there]


def _affordable(tier: TierConfig, estimate: Estimate, asked_for: bool, planner: _Planner, found: Plan) -> tuple[TierConfig, Estimate]:
    """Return `tier` and its cost; where the budget refuses it, the best cheaper way that fits, or what would fit is told."""
    budget, step_up = planner.budget, tier.teacher is None
    why = budget.refuses(estimate, step_up) if budget is not None else None
    if budget is None or why is None:
        if budget is not None:
            budget.expects(estimate)
        return tier, estimate
    for other, change in cheaper(tier, memory="budget.memory" in why):
        try:
            costs = planner.estimate(other)
        except BadRequest:
            continue
        if budget.refuses(costs, step_up) is None:
            would = f"{change} would fit ({costs.seconds:,.0f} s, {costs.memory_bytes / 1e6:,.0f} MB)"
            if asked_for:
                found.too_dear[tier.name] = f"{why} {would[:1].upper()}{would[1:]}."
                return tier, estimate
            found.changed[tier.name] = f"{why} Set for it, {would.replace(' would fit', '')}."
            budget.expects(costs)
            return other, costs
    found.too_dear[tier.name] = f"{why} No cheaper way to learn it would fit either."
    return tier, estimate


def _check_names(tiers: Sequence[TierConfig]) -> None:
    names = [tier.name for tier in tiers]
    if strange := [name for name in names if name == CASCADE or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name)]:
        raise PlanError(f"A tier cannot be called {strange[0]!r}. Use letters, digits and . _ -, and not {CASCADE!r}.")
    if len(set(names)) < len(names):
        raise PlanError(f"Two tiers have the same name ({', '.join(names)}). Give each its own with the key 'name'.")


def _reads(processor: str, inputs: str) -> None:
    """Raise PlanError where `processor` reads another kind of input than the task's."""
    reads = plugins.load("processors", processor).inputs
    if reads != inputs:
        tiers = ", ".join(dict.fromkeys(one if isinstance(one, str) else one["learner"] for one in plugins.load("inputs", inputs).tiers))
        raise PlanError(f"it reads {reads}, and the task reads {inputs}. Learners for that are, for one, {tiers}.")


def _check_teachers(tiers: Sequence[TierConfig]) -> None:
    """Refuse a teacher that is not there, or that has one itself."""
    teachers = [tier.name for tier in tiers if tier.teacher is None]
    for tier in tiers:
        if tier.teacher not in (None, REFERENCE, *teachers):
            raise PlanError(
                f"Tier {tier.name!r} has the teacher {tier.teacher!r}, which is no tier without a teacher of its own. "
                f"{nearest(str(tier.teacher), [REFERENCE, *teachers])}"
            )
        if tier.teacher is not None and not teachers:
            raise PlanError(f"Tier {tier.name!r} has a teacher, and no tier is there to teach. Add one that learns from the rows alone.")


def _fits(tier: TierConfig, estimate: Estimate, planner: _Planner) -> None:
    """Raise PlanError where not even the low end of what `tier` needs is free, with what would fit."""
    free = planner.machine.memory_bytes
    if (estimate.memory_low or 0) > free:
        remedies: list[str] = []
        for other, change in cheaper(tier, memory=True):
            if len(remedies) < _TOLD and (costs := _reckoned(other, planner)) is not None and costs.memory_bytes <= free:
                remedies.append(f"{change} ({_gigabytes(costs.memory_bytes)})")
        remedy = f"Set {' or '.join(remedies)}" if remedies else "Free some, choose a smaller model, or leave the tier out"
        raise PlanError(f"it needs about {_gigabytes(estimate.memory_bytes)} of memory and {_gigabytes(free)} are free ({estimate.why}). {remedy}.")
    disk = free_disk_bytes(planner.folder)
    if estimate.disk_bytes > disk:
        raise PlanError(
            f"it needs about {_gigabytes(estimate.disk_bytes)} of disk and {_gigabytes(disk)} are free ({estimate.why}). "
            "Free some, choose a smaller model, or leave the tier out."
        )


def _reckoned(tier: TierConfig, planner: _Planner) -> Estimate | None:
    try:
        return planner.formula(tier)(planner.count(tier)).held_by(planner.workers(tier.options))
    except BadRequest:
        return None


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
