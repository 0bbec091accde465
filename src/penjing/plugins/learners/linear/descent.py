"""Finds the weights of a generalised linear model with an L2 penalty. Knows nothing of texts, files or how the penalty is chosen.

Minimises  mean loss(X W + 1 b' + offset) + penalty / 2 * (|W|² + |b|²)  by L-BFGS (Nocedal and Wright 2006, algorithm 7.5).

A method that starts at zero and walks along gradients only meets weights of the form W = X' A, b = 1' A (the representer theorem of
Schölkopf, Herbrich and Smola 2001). So it walks in A (R, C) rather than in W (F, C): with K = X X' + 1 1', one product K G a step (one pass
over the rows, back and forth) tells all inner products, and the logits along any direction without another pass. Rows that are not learnt
from have zeros in A; their logits come along for nothing.

K G is the sum over a fixed number of blocks of features of Xb (Xb' G), added in their order, without BLAS: the result does not depend on
the number of threads, and what is read at random, (R, C), fits a cache.

Shapes: R rows, F features, C numbers a row.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

from penjing.core.statistics import mean_loss
from penjing.core.types import Link, NDArray

_BLOCKS = 8
_PAIRS = 8
"""Steps that L-BFGS remembers."""
_PAIRS_BYTES = 1 << 30
"""It remembers fewer (at least 2) where they would take more memory than this."""
_BOUND = {"softmax": 0.5, "sigmoid": 0.25, "identity": 1.0}
"""Upper bound of the second derivative of each loss (softmax: Böhning 1992, Ann. Inst. Statist. Math. 44:197)."""


class Design:
    """Rows of features (R, F), kept by features, and the threads that multiply by them."""

    def __init__(self, rows: csr_array, pool: ThreadPoolExecutor) -> None:
        by_feature = rows.T.tocsr()
        ends = np.searchsorted(by_feature.indptr, np.linspace(0, by_feature.nnz, _BLOCKS + 1)[1:-1])
        borders = [0, *(int(end) for end in ends), by_feature.shape[0]]
        self.blocks = [_block(by_feature, a, b) for a, b in pairwise(borders)]
        self.pool = pool

    def gram(self, dual_RC: NDArray) -> NDArray:
        """Return (R, C) K dual."""
        total: NDArray = np.tile(dual_RC.sum(0, dtype=np.float64).astype(np.float32), (len(dual_RC), 1))
        for part in self.pool.map(lambda block: block.T @ (block @ dual_RC), self.blocks):
            total += part
        return total

    def weights(self, dual_RC: NDArray) -> tuple[NDArray, NDArray]:
        """Return (F, C) weights and (C,) bias that `dual_RC` stands for."""
        return np.concatenate([block @ dual_RC for block in self.blocks]), dual_RC.sum(0, dtype=np.float64).astype(np.float32)


def _block(matrix: csr_array, first: int, end: int) -> csr_array:
    """Return rows first..end of `matrix`, sharing its memory."""
    a, b = matrix.indptr[first], matrix.indptr[end]
    return csr_array((matrix.data[a:b], matrix.indices[a:b], matrix.indptr[first : end + 1] - a), shape=(end - first, matrix.shape[1]))


@dataclass(slots=True)
class Vector:
    """Weights X' dual, of which the logits they give to all rows are known."""

    dual: NDArray
    """(R, C) float32."""
    logits: NDArray
    """(R, C) float32: K dual."""

    def dot(self, other: Vector) -> float:
        """Return the inner product of the two vectors of weights."""
        return _dot(self.dual, other.logits)

    def add(self, factor: float, other: Vector) -> None:
        self.dual += np.float32(factor) * other.dual
        self.logits += np.float32(factor) * other.logits

    def scale(self, factor: float) -> None:
        self.dual *= np.float32(factor)
        self.logits *= np.float32(factor)

    def plus(self, factor: float, other: Vector) -> Vector:
        return Vector(self.dual + np.float32(factor) * other.dual, self.logits + np.float32(factor) * other.logits)


@dataclass(slots=True)
class _Pair:
    """A step and what it did to the gradient of the loss, without the penalty; so it stays true when the penalty changes."""

    step: Vector
    change: Vector
    step_change: float
    change_change: float
    step_step: float


class Descent:
    """One model that goes down, penalty after penalty, from where it stands."""

    def __init__(self, design: Design, target: NDArray, learnt: NDArray, watched: NDArray, link: Link, offset: NDArray) -> None:
        """Learn from the rows numbered `learnt` and watch those numbered `watched`, of all with `target`; `offset` (C,) is added to logits."""
        self.design, self.learnt, self.watched, self.link, self.offset = design, learnt, watched, link, offset
        self.target, self.watched_target = target[learnt], target[watched]
        zeros = np.zeros((len(target), len(offset)), np.float32)
        self.at = Vector(zeros, zeros)
        self.pairs: list[_Pair] = []
        self.most_pairs = max(2, min(_PAIRS, _PAIRS_BYTES // max(16 * zeros.size, 1)))
        self.passes = 0
        self.loss, residual = self._looked(self.at)
        self.slope = self._product(residual)

    def minimise(self, penalty: float, tolerance: float, passes: int, advance: Callable[[], None]) -> None:
        """Go down until a step gains less than `tolerance` of the objective, or for `passes` passes."""
        objective = self.loss + penalty / 2 * self.at.dot(self.at)
        for _ in range(passes):
            gradient = self.slope.plus(penalty, self.at)
            direction, slope = self._direction(gradient, penalty)
            if slope >= 0:
                return
            gained = self._step(objective, penalty, direction, slope)
            advance()
            objective -= gained
            if gained <= tolerance * objective:
                return

    def watched_loss(self) -> float:
        return mean_loss(self.at.logits[self.watched] + self.offset, self.watched_target, self.link)

    def _direction(self, gradient: Vector, penalty: float) -> tuple[Vector, float]:
        """Return the L-BFGS direction and the slope of the objective along it."""
        d = Vector(gradient.dual.copy(), gradient.logits.copy())
        factors = []
        for pair in reversed(self.pairs):
            factors.append(pair.step.dot(d) / _curvature(pair, penalty))
            d.add(-factors[-1], pair.change)
            d.add(-factors[-1] * penalty, pair.step)
        d.scale(self._scale(gradient, penalty))
        for pair, factor in zip(self.pairs, reversed(factors), strict=True):
            back = (pair.change.dot(d) + penalty * pair.step.dot(d)) / _curvature(pair, penalty)
            d.add(factor - back, pair.step)
        d.scale(-1)
        return d, d.dot(gradient)

    def _scale(self, gradient: Vector, penalty: float) -> float:
        """Return the length of a first guess of the step, in gradients."""
        if self.pairs:
            last = self.pairs[-1]
            return _curvature(last, penalty) / (last.change_change + 2 * penalty * last.step_change + penalty**2 * last.step_step)
        logits, size = gradient.logits[self.learnt], gradient.dot(gradient)
        bend = _BOUND[self.link] / len(self.learnt) * _dot(logits, logits) + penalty * size
        return size / max(bend, 1e-30)

    def _step(self, objective: float, penalty: float, direction: Vector, slope: float) -> float:
        """Walk along `direction` until the objective falls enough (Armijo), remember the step, and return what was gained."""
        length = 1.0
        while True:
            new = self.at.plus(length, direction)
            loss, residual = self._looked(new)
            gained = objective - loss - penalty / 2 * new.dot(new)
            if gained >= -1e-4 * length * slope:
                break
            length /= 2
            if length < 1e-6:
                return 0.0
        gradient = self._product(residual)
        step, change = new.plus(-1, self.at), gradient.plus(-1, self.slope)
        pair = _Pair(step, change, step.dot(change), change.dot(change), step.dot(step))
        if pair.step_step > 0:
            self.pairs = [*self.pairs, pair][-self.most_pairs :]
        self.at, self.loss, self.slope = new, loss, gradient
        return gained

    def _looked(self, at: Vector) -> tuple[float, NDArray]:
        return loss_and_residual(at.logits[self.learnt] + self.offset, self.target, self.link)

    def _product(self, residual: NDArray) -> Vector:
        self.passes += 1
        dual = np.zeros_like(self.at.dual)
        dual[self.learnt] = residual
        return Vector(dual, self.design.gram(dual))


def _dot(a: NDArray, b: NDArray) -> float:
    return float(np.einsum("ij,ij->i", a, b).sum(dtype=np.float64))


def _curvature(pair: _Pair, penalty: float) -> float:
    return max(pair.step_change, 0.0) + penalty * pair.step_step


def loss_and_residual(logits: NDArray, target: NDArray, link: Link) -> tuple[float, NDArray]:
    """Return the mean over rows of the loss, and its (n, C) float32 gradient by the logits.

    softmax: cross-entropy in nats; sigmoid: the same, summed over the C answers; identity: half the squared error, summed.
    """
    n = len(target)
    if link == "softmax":
        high = logits.max(axis=1, keepdims=True)
        residual = np.exp(logits - high)
        sums = residual.sum(axis=1, keepdims=True)
        residual /= sums
        rows = np.arange(n)
        loss = float((np.log(sums[:, 0]) + high[:, 0] - logits[rows, target]).sum(dtype=np.float64))
        residual[rows, target] -= 1
    elif link == "sigmoid":
        residual = expit(logits) - target
        loss = float((np.logaddexp(np.float32(0), logits) - target * logits).sum(dtype=np.float64))
    else:
        residual = logits - target
        loss = _dot(residual, residual) / 2
    residual /= np.float32(n)
    return loss / n, residual
