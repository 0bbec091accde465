"""config + snapshot → what each tier will cost, or why it cannot work here, before anything is spent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penjing.core import plugins
from penjing.core.cascade import NAME as CASCADE
from penjing.core.errors import BadRequest, PlanError, nearest
from penjing.core.machine import Machine, free_disk_bytes
from penjing.core.snapshot import Snapshot
from penjing.core.tiers import REFERENCE, TierConfig
from penjing.core.types import Estimate

SAMPLE = 200
"""Rows that a learner looks at to say what it will cost."""


@dataclass(frozen=True, slots=True)
class Plan:
    tiers: list[TierConfig]
    estimates: dict[str, Estimate]
    left_out: dict[str, str]
    """Tiers that nobody asked for by name and that cannot work here, with the reason."""

    def as_json(self) -> dict[str, object]:
        return {"estimates": {name: asdict(e) for name, e in self.estimates.items()}, "left_out": self.left_out}


def plan(tiers: Sequence[TierConfig], asked_for: bool, snapshot: Snapshot, folder: Path) -> Plan:
    """Estimate every tier. One that cannot work is refused where the user asked for it, and left out, with the reason, where not.

    Raises PlanError (or MissingLibrary) with every refused tier and what to change.
    """
    names = [tier.name for tier in tiers]
    if strange := [name for name in names if name == CASCADE or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name)]:
        raise PlanError(f"A tier cannot be called {strange[0]!r}. Use letters, digits and . _ -, and not {CASCADE!r}.")
    if len(set(names)) < len(names):
        raise PlanError(f"Two tiers have the same name ({', '.join(names)}). Give each its own with the key 'name'.")
    _check_teachers(tiers)
    machine, sample = Machine.here(), snapshot.rows("train")[:SAMPLE]
    estimates: dict[str, Estimate] = {}
    refused: dict[str, BadRequest] = {}
    for tier in tiers:
        try:
            learner = plugins.load("learners", tier.learner)
            _reads(learner, snapshot.task.inputs)
            count = snapshot.counts["train"] + (snapshot.counts["unlabelled"] if tier.teacher is not None else 0)
            estimate = learner.plan(tier.options, sample, snapshot.columns, snapshot.task.outputs, machine, count)
            _fits(tier, estimate, machine, folder)
            estimates[tier.name] = estimate
        except BadRequest as error:
            refused[tier.name] = error
    if refused and (asked_for or not estimates):
        first = next(iter(refused.values()))
        raise type(first)("\n".join(f"Tier {name!r}: {error}" for name, error in refused.items()))
    return Plan([t for t in tiers if t.name in estimates], estimates, {name: str(error) for name, error in refused.items()})


def _reads(learner: Any, inputs: str) -> None:
    """Raise PlanError where `learner` reads another kind of input than the task's."""
    reads = plugins.load("processors", learner.processor).inputs
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


def _fits(tier: TierConfig, estimate: Estimate, machine: Machine, folder: Path) -> None:
    for what, needed, free in (("memory", estimate.memory_bytes, machine.memory_bytes), ("disk", estimate.disk_bytes, free_disk_bytes(folder))):
        if needed > free:
            raise PlanError(
                f"it needs about {needed / 1e6:,.0f} MB of {what} and {free / 1e6:,.0f} MB are free ({estimate.why}). "
                "Free some, choose a smaller model or batch_size, or leave the tier out."
            )
