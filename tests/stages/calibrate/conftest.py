"""A made population whose tiers, answers and truth are all known, to calibrate on.

Shapes: P rows of the population, W width of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import asked
from penjing.core.protocols import Silent, Task
from penjing.core.tier import Tier
from penjing.core.types import Batch, NDArray, Row
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.stages.calibrate.search import Search

TASK = TextClassification("rating", ["text"], ["a", "b", "c"])


@dataclass(frozen=True)
class Numbers:
    """A processor: the number of the row."""

    def encode(self, rows: Sequence[Row]) -> Batch:
        return {"number": np.array([row["number"] for row in rows], np.int64)}


@dataclass
class Table:
    """An engine: what the table says of the row, for `cost` multiplications."""

    said: NDArray
    """(P, W)."""
    cost: float

    def run(self, batch: Batch) -> Batch:
        return {"logits": self.said[np.asarray(batch["number"])]}

    def work(self, batch: Batch) -> float:
        return self.cost * len(np.asarray(batch["number"]))


@dataclass
class Data:
    """What is asked of a snapshot."""

    task: Task
    splits: Mapping[str, list[Row]]

    def rows(self, split: str, limit: int | None = None) -> list[Row]:
        return self.splits.get(split, [])[:limit]


@dataclass
class World:
    """Every row there could be, and what every tier says of it."""

    folder: Path
    said: Mapping[str, NDArray]
    costs: Mapping[str, float]
    target: NDArray
    """(P,) int64."""
    task: Task = TASK
    wholes: Mapping[str, str] | None = None

    def rows(self, numbers: NDArray) -> list[Row]:
        labels = getattr(self.task, "labels", None)
        return [{"text": "", "number": int(i), "rating": labels[self.target[i]] if labels else float(self.target[i])} for i in numbers]

    def search(self, validation: NDArray, calibration: NDArray, per_class: bool = False) -> Search:
        """Return the search over these rows of the population."""
        (self.folder / "measured").mkdir(exist_ok=True, parents=True)
        members = {}
        for name, said_PW in self.said.items():
            asked.keep(self.folder, name, said_PW[validation])
            members[name] = (Tier(name, self.task, Numbers(), Table(said_PW, self.costs[name]), (self.wholes or {}).get(name, "")), self.folder)
        data: Any = Data(self.task, {"validation": self.rows(validation), "calibration": self.rows(calibration)})
        return Search(per_class, data, members, Silent())

    def redraw(self, search: Search, calibration: NDArray) -> None:
        """Give `search` other calibration rows."""
        search.rows["calibration"] = self.rows(calibration)
        search.calibration.clear()


def knowing(target_P: NDArray, strength: float | NDArray, seed: int) -> NDArray:
    """Return (P, 3) logits that point to the target, `strength` strongly, in noise."""
    noise = np.random.default_rng(seed).normal(0, 1, (len(target_P), 3))
    return (noise + np.asarray(strength).reshape(-1, 1) * np.eye(3)[target_P]).astype(np.float32)


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    """Return a maker of a population of three classes; of each tier its strength, or its logits, and its cost."""

    def make(count: int = 4000, seed: int = 0, shares: Sequence[float] = (0.5, 0.3, 0.2), **tiers: tuple[Any, float]) -> World:
        random = np.random.default_rng(seed)
        target_P = random.choice(3, count, p=shares)
        easy_P = random.uniform(0, 2, count)  # what is easy for one tier is easy for all
        said = {
            name: knowing(target_P, strength * easy_P, seed + i) if np.isscalar(strength) else strength
            for i, (name, (strength, _)) in enumerate(tiers.items(), 1)
        }
        return World(tmp_path / "world", said, {name: cost for name, (_, cost) in tiers.items()}, target_P)

    return make
