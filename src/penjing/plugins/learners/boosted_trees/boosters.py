"""What was grown, asked through LightGBM itself: the side that the exported trees are compared with. Knows nothing of how it was grown.

Layout of a folder: `boosters.json` (where answers start, output, columns) and `ensemble-I.txt`, LightGBM's own text of each ensemble.

Shapes: B rows, A answers that are sums of trees, W width of the output (two classes: A = 1, W = 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from penjing.core import plugins
from penjing.core.files import read_json, write_json, write_text
from penjing.core.types import Batch, NDArray
from penjing.plugins.learners.boosted_trees import texts
from penjing.plugins.learners.boosted_trees.growing import table, threads

ENGINE = "trees"


@dataclass(frozen=True)
class Boosters:
    """{"numbers", "codes"} → {output: (B, W) float32}."""

    ensembles: list[str]
    """LightGBM's texts; empty for one without trees."""
    starts: list[list[float]]
    """For each ensemble, the logits that its trees are added to, one a class."""
    output: str
    columns: tuple[int, int]
    """How many numbers, and how many codes."""
    pair: bool
    """Whether the one answer is the logit of the second of two classes."""

    @classmethod
    def open(cls, folder: Path) -> Boosters:
        told = read_json(folder / "boosters.json")
        ensembles = [(folder / f"ensemble-{i}.txt").read_text(encoding="utf-8") for i in range(len(told["starts"]))]
        return cls(ensembles, told["starts"], told["output"], tuple(told["columns"]), told["pair"])

    def save(self, folder: Path) -> None:
        for i, text in enumerate(self.ensembles):
            write_text(folder / f"ensemble-{i}.txt", text)
        told = {"starts": self.starts, "output": self.output, "columns": list(self.columns), "pair": self.pair}
        write_json(folder / "boosters.json", told)

    def exported(self) -> Any:
        """Return the same trees for the engine that serves them."""
        arrays = texts.arrays_of(self.ensembles, [len(start) for start in self.starts])
        return plugins.load("engines", ENGINE)(**arrays, bias=np.concatenate(self.starts), output=self.output, columns=self.columns, pair=self.pair)

    def run(self, batch: Batch) -> Batch:
        return {self.output: self._output(table(batch))}

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield the steps that the engine has, by the same names: each answer's sum (B,) float64 after so many of its trees."""
        engine, values, answer = plugins.load("engines", ENGINE), table(batch), 0
        for start, booster in zip(self.starts, self._boosters, strict=True):
            rounds = booster.current_iteration() if booster else 0
            for k in range(len(start)):
                for first in range(0, rounds, engine.block):
                    last = min(first + engine.block, rounds)
                    yield engine.step_name(answer, last), _sums(booster, values, len(start), last)[:, k]
                answer += 1
        yield self.output, self._output(values)

    def _output(self, values: NDArray) -> NDArray:
        pairs = zip(self.starts, self._boosters, strict=True)
        logits: NDArray = np.concatenate([_sums(booster, values, len(start)) + start for start, booster in pairs], axis=1).astype(np.float32)
        return np.concatenate([np.zeros_like(logits), logits], axis=1) if self.pair else logits

    @cached_property
    def _boosters(self) -> list[lgb.Booster | None]:
        return [lgb.Booster(model_str=text) if text else None for text in self.ensembles]


def _sums(booster: lgb.Booster | None, values: NDArray, classes: int, rounds: int | None = None) -> NDArray:
    """Return (B, classes) float64: the sums of the trees of each class, of the first `rounds` or all."""
    if booster is None or not len(values):
        return np.zeros((len(values), classes))
    said = booster.predict(values, raw_score=True, num_iteration=rounds, num_threads=threads(*values.shape))
    sums: NDArray = np.asarray(said, np.float64).reshape(len(values), classes)
    return sums
