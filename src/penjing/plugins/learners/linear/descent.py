"""Finds the weights of a generalised linear model with an L2 penalty. Knows nothing of texts, files or how the penalty is chosen.

Minimises  mean loss(X W + 1 b' + offset) + penalty / 2 * (|W|² + |b|²)  by L-BFGS (Nocedal and Wright 2006, algorithm 7.5).

Every iterate of a method that starts at zero and walks along gradients has the form W = X' A, b = 1' A (Schölkopf, Herbrich and Smola
2001, the representer theorem). So it walks in A (n, C) rather than in W (F, C): with K = X X' + 1 1', one product K G an iteration (one pass
over the rows forth and back) tells all inner products, and the logits along any direction without another pass. Rows that are only
watched, such as validation rows, stand as further rows of X in the first factor; their logits come along for nothing.

No product uses BLAS and every row's sum has its own order, so that the result does not depend on the number of threads.

Shapes: n rows to learn from, m rows watched, F features, C numbers a row.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

from penjing.core.statistics import mean_loss
from penjing.core.types import Link, NDArray

_PAIRS = 8
"""Steps that L-BFGS remembers."""
_PAIRS_BYTES = 1 << 30
"""It remembers fewer (at least 2) where they would take more memory than this."""
_BOUND = {"softmax": 0.5, "sigmoid": 0.25, "identity": 1.0}
"""Upper bound of the second derivative of each loss (softmax: Böhning 1992, Ann. Inst. Statist. Math. 44:197)."""


class SharedProduct:
    """A sparse matrix whose product with a dense one is shared out to threads by rows."""

    def __init__(self, matrix: csr_array, pool: ThreadPoolExecutor, parts: int) -> None:
        ends = np.searchsorted(matrix.indptr, np.linspace(0, matrix.nnz, parts + 1)[1:-1])
        self.borders = np.concatenate([[0], ends, [matrix.shape[0]]])
        self.blocks = [_rows(matrix, a, b) for a, b in zip(self.borders[:-1], self.borders[1:], strict=True)]
        self.pool = pool

    def __matmul__(self, dense: NDArray) -> NDArray:
        result = np.empty((self.borders[-1], dense.shape[1]), np.float32)

        def fill(i: int) -> None:
            result[self.borders[i] : self.borders[i + 1]] = self.blocks[i] @ dense

        list(self.pool.map(fill, range(len(self.blocks))))
        return result


def _rows(matrix: csr_array, first: int, end: int) -> csr_array:
    """Return rows first..end of `matrix`, sharing its memory."""
    a, b = matrix.indptr[first], matrix.indptr[end]
    return csr_array((matrix.data[a:b], matrix.indices[a:b], matrix.indptr[first : end + 1] - a), shape=(end - first, matrix.shape[1]))


@dataclass(slots=True)
class Vector:
    """Weights X' dual, of which the logits they give to all rows are known."""

    dual: NDArray
    """(n, C) float32."""
    logits: NDArray
    """(n + m, C) float32: K dual."""

    @classmethod
    def zero(cls, n: int, m: int, width: int) -> Vector:
        return cls(np.zeros((n, width), np.float32), np.zeros((n + m, width), np.float32))

    def dot(self, other: Vector) -> float:
        """Return the inner product of the two vectors of weights."""
        return float(np.einsum("ij,ij->i", self.dual, other.logits[: len(self.dual)]).sum(dtype=np.float64))

    def add(self, factor: float, other: Vector) -> None:
        self.dual += np.float32(factor) * other.dual
        self.logits += np.float32(factor) * other.logits

    def plus(self, factor: float, other: Vector) -> Vector:
        f = np.float32(factor)
        return Vector(self.dual + f * other.dual, self.logits + f * other.logits)


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

    def __init__(self, seen: csr_array, target: NDArray, watched_target: NDArray, link: Link, offset: NDArray, pool: ThreadPoolExecutor, parts: int) -> None:
        """`seen` (n + m, F): first the rows to learn from, with `target`, then those that are watched; `offset` (C,) is added to all logits."""
        self.target, self.watched_target, self.link, self.offset = target, watched_target, link, offset
        self.n, self.width = len(target), len(offset)
        self.back = SharedProduct(_rows(seen, 0, self.n).T.tocsr(), pool, parts)
        self.forth = SharedProduct(seen, pool, parts)
        self.at = Vector.zero(self.n, len(watched_target), self.width)
        self.pairs: list[_Pair] = []
        self.most_pairs = max(2, min(_PAIRS, _PAIRS_BYTES // (16 * (self.n + len(watched_target)) * self.width)))
        self.passes = 0
        self.loss, self.slope = self._looked(self.at)

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
        return mean_loss(self.at.logits[self.n :] + self.offset, self.watched_target, self.link)

    def weights(self, dual: NDArray) -> tuple[NDArray, NDArray]:
        """Return (F, C) weights and (C,) bias, offset included, that `dual` (n, C) stands for."""
        return self.back @ dual, (self.offset + dual.sum(0, dtype=np.float64)).astype(np.float32)

    def _direction(self, gradient: Vector, penalty: float) -> tuple[Vector, float]:
        """Return the L-BFGS direction and the slope of the objective along it."""
        d = Vector(gradient.dual.copy(), gradient.logits.copy())
        factors = []
        for pair in reversed(self.pairs):
            factors.append(pair.step.dot(d) / _curvature(pair, penalty))
            d.add(-factors[-1], pair.change)
            d.add(-factors[-1] * penalty, pair.step)
        scale = self._scale(gradient, penalty)
        d.dual *= np.float32(scale)
        d.logits *= np.float32(scale)
        for pair, factor in zip(self.pairs, reversed(factors), strict=True):
            back = (pair.change.dot(d) + penalty * pair.step.dot(d)) / _curvature(pair, penalty)
            d.add(factor - back, pair.step)
        d.dual *= np.float32(-1)
        d.logits *= np.float32(-1)
        return d, d.dot(gradient)

    def _scale(self, gradient: Vector, penalty: float) -> float:
        """Return the length of a first guess of the step, in gradients."""
        if self.pairs:
            last = self.pairs[-1]
            return _curvature(last, penalty) / (last.change_change + 2 * penalty * last.step_change + penalty**2 * last.step_step)
        logits = gradient.logits[: self.n]
        size = gradient.dot(gradient)
        bend = _BOUND[self.link] / self.n * float(np.einsum("ij,ij->i", logits, logits).sum(dtype=np.float64)) + penalty * size
        return size / max(bend, 1e-30)

    def _step(self, objective: float, penalty: float, direction: Vector, slope: float) -> float:
        """Walk along `direction` until the objective falls enough (Armijo), remember the step, and return what was gained."""
        length = 1.0
        while True:
            new = self.at.plus(length, direction)
            loss, residual = loss_and_residual(new.logits[: self.n] + self.offset, self.target, self.link)
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

    def _looked(self, at: Vector) -> tuple[float, Vector]:
        loss, residual = loss_and_residual(at.logits[: self.n] + self.offset, self.target, self.link)
        return loss, self._product(residual)

    def _product(self, dual: NDArray) -> Vector:
        self.passes += 1
        return Vector(dual, self.forth @ (self.back @ dual) + dual.sum(0, dtype=np.float64).astype(np.float32))


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
        loss = float(np.einsum("ij,ij->i", residual, residual).sum(dtype=np.float64)) / 2
    residual /= np.float32(n)
    return loss / n, residual
