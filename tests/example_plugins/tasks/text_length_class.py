"""Whether a text is "short" or "long": the worked example of a task in CONTRIBUTING.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from penjing.core.errors import DataError
from penjing.core.statistics import exact_interval
from penjing.core.types import Batch, Measurement, NDArray, Prediction, Row, Spec


@dataclass(frozen=True)
class TextLengthClass:
    inputs: ClassVar[str] = "text"

    target: str
    columns: list[str]

    @property
    def outputs(self) -> Mapping[str, Spec]:
        return {"logits": Spec(2, "softmax")}

    @property
    def example(self) -> Row:
        return dict.fromkeys(self.columns, "A short text.")

    @classmethod
    def suits(cls, values: Sequence[Any]) -> tuple[float, str]:
        return (0.99, "the words 'short' and 'long'") if set(map(str, values)) == {"short", "long"} else (0.0, "")

    @classmethod
    def options_from(cls, rows: Sequence[Row], target: str, columns: Sequence[str]) -> dict[str, Any]:
        return {"target": target, "columns": list(columns)}

    def target_of(self, rows: Sequence[Row]) -> NDArray:
        unknown = {str(row[self.target]) for row in rows} - {"short", "long"}
        if unknown:
            raise DataError(f"Column {self.target!r} holds {unknown.pop()!r}; this task knows 'short' and 'long'.")
        return np.array([row[self.target] == "long" for row in rows], np.int64)

    def strata(self, rows: Sequence[Row]) -> NDArray:
        return self.target_of(rows)

    def decode(self, outputs: Batch, rows: Sequence[Row]) -> list[Prediction]:
        return [{"label": ("short", "long")[i], "score": 1.0} for i in np.asarray(outputs["logits"]).argmax(axis=1)]

    def confidence(self, outputs: Batch) -> NDArray:
        return np.ones(len(outputs["logits"]))

    def agreement(self, ours: Batch, theirs: Batch) -> NDArray:
        same: NDArray = np.asarray(ours["logits"]).argmax(axis=1) == np.asarray(theirs["logits"]).argmax(axis=1)
        return same.astype(np.float64)

    def credit(self, outputs: Batch, rows: Sequence[Row]) -> NDArray:
        right: NDArray = np.asarray(outputs["logits"]).argmax(axis=1) == self.target_of(rows)
        return right.astype(np.float64)

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> list[Measurement]:
        hits = sum(p["label"] == row[self.target] for p, row in zip(predictions, rows, strict=True))
        return [Measurement("accuracy", hits / len(rows), "", *exact_interval(hits, len(rows)), len(rows), "exact binomial interval")]
