"""How much each training row counts while a tier learns: by a column of the user's, by the class, or by both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from penjing.core.errors import ConfigError, DataError, nearest
from penjing.core.protocols import Task
from penjing.core.rows import ROW_ID
from penjing.core.types import NDArray, Row

ClassWeights = Literal["balanced"] | dict[str, float]


def weights(rows: Sequence[Row], task: Task, column: str | None, classes: ClassWeights | None) -> NDArray | None:
    """Return (B,) float64 weights of training rows, 1 on average; None where all count alike. Raises DataError, ConfigError.

    "balanced": each class counts as much as any other, n / (C n_c) a row (King and Zeng 2001).
    """
    if column is None and classes is None:
        return None
    found = np.ones(len(rows))
    if column is not None:
        found *= np.array([_weight(row, column) for row in rows])
    if classes is not None:
        found *= _of_classes(rows, task, classes)
    if not found.sum():
        raise DataError("No training row counts: all their weights are 0. Look at data.weight and data.class_weights.")
    weighed: NDArray = found * (len(rows) / found.sum())
    return weighed


def _weight(row: Row, column: str) -> float:
    value: Any = row.get(column)
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise DataError(f"Column {column!r} (data.weight) holds {value!r} in row {row[ROW_ID]}: a weight is a finite number, 0 or more.")
    return weight


def _of_classes(rows: Sequence[Row], task: Task, classes: ClassWeights) -> NDArray:
    labels: Sequence[str] | None = getattr(task, "labels", None)
    target = task.target_of(rows)
    if labels is None or target.ndim > 1:
        raise ConfigError("data.class_weights needs a task of one label a row. Use data.weight, a column of weights, instead.")
    if classes == "balanced":
        counts = np.bincount(target, minlength=len(labels))
        by_class = len(rows) / (len(labels) * np.maximum(counts, 1))
    else:
        by_class = _named(labels, classes)
    found: NDArray = by_class[target]
    return found


def _named(labels: Sequence[str], classes: Mapping[str, float] | str) -> NDArray:
    assert isinstance(classes, Mapping)  # noqa: S101  # the other kind is "balanced"
    for label, weight in classes.items():
        if label not in labels:
            raise ConfigError(f"data.class_weights names the label {label!r}, which is not there. {nearest(label, labels)}")
        if not 0 <= weight < math.inf:
            raise ConfigError(f"data.class_weights.{label} is {weight}: a weight is a finite number, 0 or more.")
    return np.array([classes.get(label, 1.0) for label in labels])
