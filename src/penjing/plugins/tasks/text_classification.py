"""One label for each text. Knows labels and rows; not how the texts are encoded.

Shapes: B rows, C labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penjing.core.errors import DataError, nearest
from penjing.core.statistics import exact_interval, macro_f1, percentile_interval, probabilities
from penjing.core.types import Batch, Measurement, NDArray, Prediction, Row, Spec

RESAMPLES = 1000


@dataclass(frozen=True)
class TextClassification:
    target: str
    columns: list[str]
    labels: list[str]

    @property
    def outputs(self) -> Mapping[str, Spec]:
        return {"logits": Spec(len(self.labels), "softmax")}

    @property
    def example(self) -> Row:
        return dict.fromkeys(self.columns, "An example text of a usual length, to see what comes back.")

    @classmethod
    def suits(cls, values: Sequence[Any]) -> tuple[float, str]:
        if any(isinstance(v, list | dict) for v in values):
            return 0.0, ""
        distinct, longest = len(set(values)), max((len(str(v)) for v in values), default=0)
        if distinct > max(2, min(1000, len(values) // 2)) or longest > 200:
            return 0.0, ""
        fractional = any(isinstance(v, float) and not v.is_integer() for v in values)
        return (0.4 if fractional or (_numeric(values) and distinct > 20) else 0.9), f"{distinct} different values"

    @classmethod
    def options_from(cls, rows: Sequence[Row], target: str, columns: Sequence[str]) -> dict[str, Any]:
        counts = Counter(str(row[target]) for row in rows)
        if len(counts) < 2:
            only = next(iter(counts), None)
            raise DataError(f"Column {target!r} holds one class only ({only!r}). A classifier needs at least two: choose another target column.")
        return {"target": target, "columns": list(columns), "labels": sorted(counts)}

    def target_of(self, rows: Sequence[Row]) -> NDArray:
        index = {label: i for i, label in enumerate(self.labels)}
        try:
            return np.array([index[str(row[self.target])] for row in rows], np.int64)
        except KeyError as error:
            label = str(error.args[0])
            if label == self.target:
                raise DataError(f"A row has no column {self.target!r}, the target.") from error
            raise DataError(f"Label {label!r} in column {self.target!r} was not among the training rows. {nearest(label, self.labels)}") from error

    def strata(self, rows: Sequence[Row]) -> NDArray:
        return self.target_of(rows)

    def probabilities(self, outputs: Batch) -> NDArray:
        """Return (B, C) float64 that sum to 1 over the labels."""
        return probabilities(np.asarray(outputs["logits"], np.float64), "softmax")

    def decode(self, outputs: Batch, rows: Sequence[Row]) -> list[Prediction]:
        shares_BC = self.probabilities(outputs)
        best_B = shares_BC.argmax(axis=1)
        return [
            {"label": self.labels[best], "score": float(shares[best]), "scores": dict(zip(self.labels, shares.tolist(), strict=True))}
            for shares, best in zip(shares_BC, best_B.tolist(), strict=True)
        ]

    def confidence(self, outputs: Batch) -> NDArray:
        confidence: NDArray = self.probabilities(outputs).max(axis=1)
        return confidence

    def agreement(self, ours: Batch, theirs: Batch) -> NDArray:
        same: NDArray = np.asarray(ours["logits"]).argmax(axis=1) == np.asarray(theirs["logits"]).argmax(axis=1)
        return same.astype(np.float64)

    def credit(self, outputs: Batch, rows: Sequence[Row]) -> NDArray:
        """Return 1 where the label is right, else 0; the mean is the accuracy."""
        right: NDArray = np.asarray(outputs["logits"]).argmax(axis=1) == self.target_of(rows)
        return right.astype(np.float64)

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> list[Measurement]:
        """Accuracy with its exact interval and macro-F1 with a bootstrap interval."""
        index = {label: i for i, label in enumerate(self.labels)}
        guessed_B = np.array([index[p["label"]] for p in predictions], np.int64)
        true_B, n, width = self.target_of(rows), len(rows), len(self.labels)
        hits = int((true_B == guessed_B).sum())
        cells, place_B = np.unique(true_B * width + guessed_B, return_inverse=True)
        low, high = exact_interval(hits, n)
        f1_low, f1_high = percentile_interval(_f1_of_resamples(cells, place_B, width))
        confusion = np.bincount(true_B * width + guessed_B, minlength=width * width).reshape(width, width)
        return [
            Measurement("accuracy", hits / n, "", low, high, n, "exact binomial interval (Clopper–Pearson)"),
            Measurement("macro_f1", float(macro_f1(confusion)), "", f1_low, f1_high, n, f"percentile bootstrap, {RESAMPLES} resamples"),
        ]


def _f1_of_resamples(cells: NDArray, place_B: NDArray, width: int) -> NDArray:
    """Return (R,) macro-F1 of bootstrap resamples, from the occupied `cells` of the confusion table and the cell of each row."""
    counts = np.bincount(place_B, minlength=len(cells))
    draws = np.random.default_rng(0).multinomial(len(place_B), counts / len(place_B), size=RESAMPLES)
    values = np.empty(RESAMPLES)
    for r, draw in enumerate(draws):
        confusion = np.zeros(width * width, np.int64)
        confusion[cells] = draw
        values[r] = macro_f1(confusion.reshape(width, width))
    return values


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
