"""Finds the values of an additive model's tables: a generalised linear model with L2, by L-BFGS-B. Knows nothing of columns' names or of files.

The values at the knots of a number column are learnt as steps from each knot to the next, counted from the middle knot. L2 on steps keeps
neighbours alike, so that many knots do no harm, and a bound on their sign makes the function rise or fall (Byrd, Lu, Nocedal and Zhu 1995, SIAM J.
Sci. Comput. 16:1190, is the method that keeps it).

Neither threads nor the seed have a say: the same rows give the same values.

Shapes: n rows, B rows of a block, E entries of the tables, V numbers a row (see the additive engine).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import Bounds, minimize
from scipy.sparse import csr_array
from scipy.special import expit, logsumexp

from penjing.core.types import Link, NDArray


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows, as the tables see them."""

    rows: csr_array
    """(B, E) float32: how much each entry counts."""
    target: NDArray
    """(B, V) float32."""
    weight: NDArray
    """(B, 1) float32."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How entries become parameters."""

    steps: NDArray
    """(E, 1) float64: 1 for a knot that is learnt as the step from the knot before, else 0."""
    knots: NDArray
    """(E, 1) bool: all knots; the first of a column is no step, and its own parameter has no say."""
    middle: NDArray
    """(E,) int64: for a knot the middle knot of its column, whose value is 0."""
    anchor: NDArray
    """(E,) int64: for a knot above the middle where its column ends, for others where its knots begin."""
    sign: NDArray
    """(E,) int8: 1 where a step must not fall, -1 where it must not rise, 0 where it is free."""
    penalty: NDArray
    """(E, 1) float64: weight of half the squared parameter, in L2."""

    def values(self, parameters_EV: NDArray) -> NDArray:
        """Return (E, V) values of the entries."""
        summed = np.cumsum(parameters_EV * self.steps, axis=0)
        return np.where(self.knots, summed - summed[self.middle], parameters_EV)

    def gradient(self, values_EV: NDArray) -> NDArray:
        """Return (E, V) gradient by the parameters, from that by the values: the transpose of `values`."""
        above = np.zeros((len(values_EV) + 1, values_EV.shape[1]))
        np.cumsum((values_EV * self.knots)[::-1], axis=0, out=above[-2::-1])
        return np.where(self.knots, (above[:-1] - above[self.anchor]) * self.steps, values_EV)


@dataclass(frozen=True, slots=True)
class Model:
    parameters: NDArray
    """(E, V) float64."""
    bias: NDArray
    """(V,) float64."""


def learn(blocks: Sequence[Block], shape: Shape, link: Link, l2: float, start: Model, iterations: int) -> Model:
    """Return the model with the least summed loss plus L2, from `start` on."""
    # Parameters are brought to a scale on which the second derivatives are about 1: with bounds, the first step is as long as the gradient.
    E, V = start.parameters.shape
    scale = 1 / np.sqrt(_curvature(blocks, shape) + l2 * shape.penalty)
    sign = np.concatenate([np.repeat(shape.sign, V), np.zeros(V, np.int8)])
    bounds = Bounds(np.where(sign > 0, 0, -np.inf), np.where(sign < 0, 0, np.inf))
    rows = max(sum(float(b.weight.sum(dtype=np.float64)) for b in blocks), 1e-9)

    def function(flat: NDArray) -> tuple[float, NDArray]:
        parameters, bias = flat[:-V].reshape(E, V) * scale, flat[-V:] / np.sqrt(rows)
        loss, by_values, by_bias = _loss(blocks, shape.values(parameters), bias, link)
        pull = l2 * shape.penalty * parameters
        gradient = np.concatenate([((shape.gradient(by_values) + pull) * scale).ravel(), by_bias / np.sqrt(rows)])
        return loss + float((pull * parameters).sum()) / 2, gradient

    begin = np.concatenate([(start.parameters / scale).ravel(), start.bias * np.sqrt(rows)])
    ends: Any = {"maxiter": iterations, "ftol": 1e-7, "gtol": 1e-7 * rows}
    found = minimize(function, begin, jac=True, method="L-BFGS-B", bounds=bounds, options=ends)
    return Model(found.x[:-V].reshape(E, V) * scale, found.x[-V:] / np.sqrt(rows))


def loss_of(logits: NDArray, target: NDArray, weight: NDArray, link: Link) -> float:
    """Return the sum over rows of the weighted loss: cross-entropy in nats, or half the squared error. Shapes as in `Block`; logits (B, V)."""
    if link == "softmax":
        each = target.sum(axis=1, keepdims=True) * logsumexp(logits, axis=1, keepdims=True) - (target * logits).sum(axis=1, keepdims=True)
    elif link == "sigmoid":
        each = np.logaddexp(np.float32(0), logits) - target * logits
    else:
        each = (logits - target) ** 2 / 2
    return float((weight * each).sum(dtype=np.float64))


def residual_of(logits: NDArray, target: NDArray, link: Link) -> NDArray:
    """Return (B, V), the gradient of each row's loss by its logits, weight aside."""
    if link == "softmax":
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        residual: NDArray = shifted * (target.sum(axis=1, keepdims=True) / shifted.sum(axis=1, keepdims=True)) - target
        return residual
    return (expit(logits) if link == "sigmoid" else logits) - target


def _loss(blocks: Sequence[Block], values_EV: NDArray, bias_V: NDArray, link: Link) -> tuple[float, NDArray, NDArray]:
    """Return the summed loss and its gradient by values and bias. A block is summed in float32, blocks in float64."""
    loss, by_values, by_bias = 0.0, np.zeros(values_EV.shape), np.zeros(bias_V.shape)
    values, bias = values_EV.astype(np.float32), bias_V.astype(np.float32)
    for block in blocks:
        logits = block.rows @ values + bias
        loss += loss_of(logits, block.target, block.weight, link)
        residual = residual_of(logits, block.target, link) * block.weight
        by_values += block.rows.T @ residual
        by_bias += residual.sum(axis=0, dtype=np.float64)
    return loss, by_values, by_bias


def _curvature(blocks: Sequence[Block], shape: Shape) -> NDArray:
    """Return (E, 1) about the second derivative of the loss by each parameter, up to a factor: what brings steps of all parameters to one size."""
    counts = sum((np.asarray(b.rows.T @ b.weight, np.float64) for b in blocks), np.zeros((len(shape.sign), 1)))
    n = sum(float(b.weight.sum(dtype=np.float64)) for b in blocks)
    share = np.minimum(np.abs(shape.gradient(counts)) / max(n, 1e-9), 1)
    curvature: NDArray = n * share * (1 - share) / 4 + 1e-3
    return curvature
