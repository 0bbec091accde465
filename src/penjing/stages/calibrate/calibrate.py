"""exported tiers → a cascade: calibrates and blends them, finds the reference, and proves what may be answered cheaply.

Blends, reference and the path of settings come from validation rows, by cross-fitting; how far along the path the cascade may go is proved
on calibration rows, which nothing else has seen; test rows are left for the report.

Layout of the folder: `cascade.json` (core/cascade.py), `calibration.json` (how it was found).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from penjing.core.cascade import Cascade, Predictors, output_of
from penjing.core.config import Section
from penjing.core.errors import ConfigError
from penjing.core.files import write_json, written
from penjing.core.protocols import Progress, Task
from penjing.core.snapshot import Snapshot
from penjing.core.tier import Tier
from penjing.stages.calibrate.certificate import Keep, Promise
from penjing.stages.calibrate.search import Search

OFFERS: tuple[tuple[Keep, float], ...] = (
    ("agreement", 0.95),
    ("agreement", 0.98),
    ("agreement", 0.99),
    ("accuracy", 0.005),
    ("accuracy", 0.01),
    ("accuracy", 0.02),
)
"""Other promises that the report shows, so that a user sees what each would cost."""


class CascadeConfig(Section):
    """What the cascade keeps of the best that its tiers can do."""

    keep: Literal["accuracy", "agreement"] = "accuracy"
    """What is promised: as many right answers as the reference (less `margin`), or the same answers (a share `agreement` of them)."""
    margin: float = Field(0.01, gt=0, lt=0.5)
    """Share of answers that may be lost against the reference, at most. Only with keep: accuracy."""
    agreement: float = Field(0.99, gt=0.5, lt=1)
    """Share of rows answered as the reference would, at least. Only with keep: agreement."""
    confidence: float = Field(0.95, ge=0.5, lt=1)
    """1 less the chance that the promise is made and does not hold."""
    thresholds: Literal["global", "per-class"] = "global"
    """One threshold of confidence for all answers of a step, or one for each class (only for tasks with one label)."""

    @property
    def promise(self) -> Promise:
        return Promise(self.keep, self.margin if self.keep == "accuracy" else self.agreement, self.confidence)


def refuse_impossible(config: CascadeConfig, task: Task) -> None:
    """Raise ConfigError for thresholds that `task` cannot have, BadRequest for a task whose answers no cascade can join."""
    if config.thresholds == "per-class" and output_of(task)[1].link != "softmax":
        raise ConfigError("cascade.thresholds is per-class, and this task has no classes of which an answer is one. Set it to global.")


def calibrate(config: CascadeConfig, data: Snapshot, exported: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Write the cascade of the exported tiers into `folder`."""
    search = Search(config.thresholds == "per-class", data, _members(exported), progress)
    found = search.found(config.promise)
    offers = [search.found(Promise(keep, limit, config.confidence)) for keep, limit in OFFERS] if len(search.tiers) > 1 else []
    described = {"+".join(tiers): search.alone(tiers).described() for tiers in [*((name,) for name in search.tiers), search.reference]}
    Predictors(found.cascade["name"], described | {found.cascade["name"]: found.cascade}).write(folder / "cascade.json")
    told = {"rows": len(search.rows["calibration"]), "offers": [asdict(offer) for offer in offers], "notices": search.notices()}
    blends = {"+".join(tiers): blend.described() for tiers, (blend, _) in search.blends.found.items()}
    write_json(folder / "calibration.json", asdict(found) | told | {"blends": blends})
    with written(folder / "measured" / "reference-of-calibration.npy") as partial, partial.open("wb") as file:
        np.save(file, search.of_calibration())
    progress.say(found.why)


def reference(data: Snapshot, exported: Mapping[str, Path], progress: Progress) -> Cascade:
    """Return the tier or blend that a cascade of these tiers would be held against: the best teacher among them."""
    search = Search(False, data, _members(exported), progress)
    return search.alone(search.reference)


def _members(exported: Mapping[str, Path]) -> dict[str, tuple[Tier, Path]]:
    """Return the tiers and their early exits by name, each with the folder of its export."""
    return {member.name: (member, place) for place in exported.values() for member in Tier.open(place).members()}
