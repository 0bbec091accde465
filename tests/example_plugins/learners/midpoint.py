"""Learns the threshold halfway between the classes: the worked example of a learner in CONTRIBUTING.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from penjing.core.config import Section
from penjing.core.errors import PlanError
from penjing.core.examples import Examples
from penjing.core.files import read_json, write_json
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Batch, Estimate, Row, Spec


class Options(Section):
    share: float = 0.5
    """How far from the shorter class's mean to the longer one's the threshold lies (0 to 1)."""


class Midpoint:
    processor: ClassVar[str] = "lengths"
    Options = Options

    def __init__(self, options: Options, threshold: float = 0.0) -> None:
        self.options, self.threshold = options, threshold

    @classmethod
    def plan(
        cls, options: Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        if outputs["logits"] != Spec(2, "softmax"):
            raise PlanError("midpoint tells two classes apart, and does nothing else. Choose another learner.")
        return Estimate(1e-6 * count, 16 * count, 100, "one pass over the lengths")

    @classmethod
    def create(cls, options: Options, outputs: Mapping[str, Spec]) -> Self:
        return cls(options)

    @classmethod
    def open(cls, folder: Path) -> Self:
        return cls(Options(), read_json(folder / "threshold.json"))

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        lengths = np.asarray(examples.inputs["lengths"]).max(axis=1)
        # A pupil's target is the share of each class, (N, 2), in place of the class itself.
        shares = examples.target if examples.target.ndim == 2 else np.eye(2)[examples.target]
        short, long = (lengths @ shares) / shares.sum(axis=0)
        self.threshold = float(short + self.options.share * (long - short))

    def run(self, batch: Batch) -> Batch:
        above_B1 = np.asarray(batch["lengths"]).max(axis=1, keepdims=True) - self.threshold
        return {"logits": np.hstack([-above_B1, above_B1]).astype(np.float32)}

    def save(self, folder: Path) -> None:
        write_json(folder / "threshold.json", self.threshold)

    def export(self, folder: Path) -> str:
        self.save(folder)
        return "threshold"
