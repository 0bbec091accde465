"""Any number of labels for each text. Knows labels and rows; not how the texts are encoded.

A target is a list of labels, or a text with the labels separated by one of `| ; ,`.  Shapes: B rows, C labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from penjing.core.errors import DataError, nearest
from penjing.core.statistics import bootstrap_of, percentile_interval, probabilities, resampled_sums
from penjing.core.types import Batch, Measurement, NDArray, Prediction, Row, Spec

RESAMPLES = 1000
SEPARATORS = "|;,"


@dataclass(frozen=True)
class MultiLabelTextClassification:
    inputs: ClassVar[str] = "text"

    target: str
    columns: list[str]
    labels: list[str]
    separator: str
    """Between the labels of a target that is a text; empty where targets are lists."""

    @property
    def outputs(self) -> Mapping[str, Spec]:
        return {"logits": Spec(len(self.labels), "sigmoid")}

    @property
    def example(self) -> Row:
        return dict.fromkeys(self.columns, "An example text of a usual length, to see what comes back.")

    @classmethod
    def suits(cls, values: Sequence[Any]) -> tuple[float, str]:
        if values and all(isinstance(v, list) for v in values):
            return 1.0, "its values are lists"
        if not values or not all(isinstance(v, str) for v in values):
            return 0.0, ""
        separator = _separator(values)
        parts = Counter(part for v in values for part in _split(v, separator))
        joined = sum(separator in v for v in values) / len(values) if separator else 0.0
        # Labels come back again and again; the pieces of prose between commas do not.
        repeated = sum(n for n in parts.values() if n >= 3) / max(1, parts.total())
        fewer = len(parts) < len(set(values))
        return (0.95, f"its values are {len(parts)} labels separated by {separator!r}") if joined > 0.1 and repeated > 0.9 and fewer else (0.0, "")

    @classmethod
    def options_from(cls, rows: Sequence[Row], target: str, columns: Sequence[str]) -> dict[str, Any]:
        values = [row[target] for row in rows]
        separator = _separator([v for v in values if isinstance(v, str)])
        labels = sorted({label for v in values for label in _split(v, separator)})
        if len(labels) < 2:
            raise DataError(f"Column {target!r} holds {len(labels)} label(s): {labels}. At least two are needed: choose another target column.")
        return {"target": target, "columns": list(columns), "labels": labels, "separator": separator}

    def target_of(self, rows: Sequence[Row]) -> NDArray:
        index = {label: i for i, label in enumerate(self.labels)}
        target_BC = np.zeros((len(rows), len(self.labels)), np.float32)
        for i, row in enumerate(rows):
            if self.target not in row:
                raise DataError(f"A row has no column {self.target!r}, the target.")
            for label in _split(row[self.target], self.separator):
                if label not in index:
                    raise DataError(f"Label {label!r} in column {self.target!r} was not among the training rows. {nearest(label, self.labels)}")
                target_BC[i, index[label]] = 1
        return target_BC

    def strata(self, rows: Sequence[Row]) -> NDArray:
        """Return the rarest label of each row, so that rare labels are spread over the splits."""
        target_BC = self.target_of(rows)
        rarity = target_BC.sum(axis=0)
        rarest: NDArray = np.where(target_BC > 0, -rarity, -np.inf).argmax(axis=1)
        return np.where(target_BC.any(axis=1), rarest, len(self.labels))

    def probabilities(self, outputs: Batch) -> NDArray:
        """Return (B, C) float64, each label's own probability."""
        return probabilities(np.asarray(outputs["logits"], np.float64), "sigmoid")

    def decode(self, outputs: Batch, rows: Sequence[Row]) -> list[Prediction]:
        return [
            {
                "labels": [label for label, share in zip(self.labels, shares, strict=True) if share >= 0.5],
                "score": min(max(s, 1 - s) for s in shares),
                "scores": dict(zip(self.labels, shares, strict=True)),
            }
            for shares in self.probabilities(outputs).tolist()
        ]

    def confidence(self, outputs: Batch) -> NDArray:
        """Return the confidence in the label that is least sure."""
        shares_BC = self.probabilities(outputs)
        confidence: NDArray = np.maximum(shares_BC, 1 - shares_BC).min(axis=1)
        return confidence

    def agreement(self, ours: Batch, theirs: Batch) -> NDArray:
        """Return the share of labels on which the two say the same."""
        same: NDArray = (np.asarray(ours["logits"]) >= 0) == (np.asarray(theirs["logits"]) >= 0)
        agreement: NDArray = same.mean(axis=1)
        return agreement

    def credit(self, outputs: Batch, rows: Sequence[Row]) -> NDArray:
        """Return 1 where every label is right, else 0; the mean is the exact match."""
        right: NDArray = ((np.asarray(outputs["logits"]) >= 0) == (self.target_of(rows) > 0)).all(axis=1)
        return right.astype(np.float64)

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> list[Measurement]:
        """Micro-F1, macro-F1 and the share of rows with every label right, each with a bootstrap interval."""
        true_BC = self.target_of(rows)
        guessed_BC = self.target_of([{self.target: p["labels"]} for p in predictions])
        n = len(rows)
        exact_B1 = (true_BC == guessed_BC).all(axis=1, keepdims=True)
        sums_RK = resampled_sums(np.hstack([true_BC * guessed_BC, true_BC + guessed_BC, exact_B1]), RESAMPLES)
        hits_RC, total_RC, exact_R1 = np.split(sums_RK, [len(self.labels), 2 * len(self.labels)], axis=1)
        f1_RC = np.divide(2 * hits_RC, total_RC, out=np.zeros_like(hits_RC), where=total_RC > 0)
        measured = {
            "micro_f1": 2 * hits_RC.sum(axis=1) / np.maximum(total_RC.sum(axis=1), 1),
            "macro_f1": f1_RC.sum(axis=1) / np.maximum((total_RC > 0).sum(axis=1), 1),
            "exact_match": exact_R1[:, 0] / n,
        }
        method = bootstrap_of(n, RESAMPLES)
        return [Measurement(name, float(v[0]), "", *percentile_interval(v[1:]), n, method) for name, v in measured.items()]


def _separator(values: Sequence[str]) -> str:
    """Return the separator that most of `values` hold, the first of SEPARATORS where several do; empty where none does."""
    counts = {s: sum(s in v for v in values) for s in SEPARATORS}
    best = max(counts, key=lambda s: counts[s])
    return best if counts[best] else ""


def _split(value: Any, separator: str) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(v).strip() for v in value]
    parts = str(value).split(separator) if separator else [str(value)]
    return [part.strip() for part in parts if part.strip()]
