"""What each ensemble of trees is to learn: labels, weights and where it starts. Knows nothing of trees, nor of LightGBM but how it calls its losses.

Two classes are one ensemble, of the logit of the second; more classes are one with a tree a class and round; every label of several, and every
number, has an ensemble of its own. A pupil's shares of more than two classes become a row for each class, with the share as its weight.

Shapes: n rows, W width of the output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from penjing.core.examples import Examples
from penjing.core.types import NDArray, Spec

LEAST_SHARE = 1e-3
"""Of a class in a pupil's row, below which the row is not learnt as that class."""
_EARLY = 0.5
"""Rows of each answer that are believed to have been seen beside those that were, as for Krichevsky and Trofimov (1981)."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What one ensemble learns, of rows that may stand several times."""

    loss: str
    """LightGBM's name of it, which is the name of its measure too."""
    classes: int
    """Trees a round."""
    rows: NDArray | None
    """Which of the rows each label belongs to; None where it is one each, in their order."""
    label: NDArray
    """Float32: a class for `multiclass`, otherwise a share or a number."""
    weight: NDArray | None
    """Float32; None where all rows count alike."""

    @property
    def start(self) -> NDArray:
        """(classes,) float64: the answer without any column."""
        weight = np.ones(len(self.label)) if self.weight is None else self.weight.astype(np.float64)
        if self.loss == "multiclass":
            count = np.bincount(self.label.astype(np.int64), weight, self.classes) + _EARLY
            logits: NDArray = np.log(count / count.sum())
            return logits
        total = float(weight @ self.label.astype(np.float64))
        if self.loss == "regression":
            return np.array([total / max(weight.sum(), 1e-30)])
        return np.array([math.log((total + _EARLY) / (weight.sum() - total + _EARLY))])

    def mean_loss(self, logits: NDArray) -> float:
        """Return the weighted mean loss of one answer, (classes,), given to every row; as LightGBM measures it."""
        if self.loss == "multiclass":
            logs = np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits
            losses = logs[self.label.astype(np.int64)]
        elif self.loss == "regression":
            losses = np.square(self.label - logits[0])
        else:
            losses = np.logaddexp(0, logits[0]) - self.label * logits[0]
        return float(np.average(losses, weights=self.weight))


def goals_of(examples: Examples, spec: Spec) -> list[Goal]:
    """Return what is to be learnt from `examples`, one goal an ensemble."""
    target, weight = np.asarray(examples.target), examples.weight
    weight = None if weight is None else np.asarray(weight, np.float32)
    if spec.link != "softmax":
        loss = "cross_entropy" if spec.link == "sigmoid" else "regression"
        return [Goal(loss, 1, None, np.ascontiguousarray(target[:, i], np.float32), weight) for i in range(spec.width)]
    if spec.width == 2:
        return [Goal("cross_entropy", 1, None, np.asarray(target if target.ndim == 1 else _second(target), np.float32), weight)]
    if target.ndim == 1:
        return [Goal("multiclass", spec.width, None, target.astype(np.float32), weight)]
    rows, classes = np.nonzero(target >= LEAST_SHARE)
    share = target[rows, classes].astype(np.float32)
    return [Goal("multiclass", spec.width, rows, classes.astype(np.float32), share if weight is None else share * weight[rows])]


def _second(shares: NDArray) -> NDArray:
    second: NDArray = shares[:, 1] / np.maximum(shares.sum(axis=1), 1e-30)
    return np.clip(second, 0, 1)
