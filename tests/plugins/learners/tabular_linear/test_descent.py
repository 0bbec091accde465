"""The descent, held against finite differences and a closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from penjing.core.types import Link, NDArray
from penjing.plugins.learners.tabular_linear.descent import Block, Model, Shape, learn, loss_of, residual_of

RNG = np.random.default_rng(0)
SHAPE = Shape(
    steps=np.array([0, 0, 1, 1, 1, 0, 0], np.float64)[:, None],
    knots=np.array([0, 1, 1, 1, 1, 0, 0], np.bool_)[:, None],
    middle=np.array([0, 3, 3, 3, 3, 5, 6]),
    anchor=np.array([0, 1, 1, 1, 5, 5, 6]),
    sign=np.zeros(7, np.int8),
    penalty=np.array([1, 0.3, 0.3, 0.3, 0.3, 1, 1])[:, None],
)
"""One number column (missing, four knots of which the third is the middle) and two codes."""


def matrix() -> NDArray:
    """Return (E, E) that takes parameters to values."""
    return np.stack([SHAPE.values(row[:, None])[:, 0] for row in np.eye(7)], axis=1)


def blocks(link: Link, count: int = 60) -> list[Block]:
    rows = np.zeros((count, 7), np.float32)
    at, part = RNG.integers(1, 4, count), RNG.random(count)
    rows[np.arange(count), at], rows[np.arange(count), at + 1] = 1 - part, part
    rows[np.arange(count), RNG.integers(5, 7, count)] = 1
    target = RNG.random((count, 2)).astype(np.float32)
    target = target / target.sum(axis=1, keepdims=True) if link == "softmax" else target
    weight = RNG.uniform(0.5, 2, (count, 1)).astype(np.float32)
    half = count // 2
    return [Block(csr_array(rows[part]), target[part], weight[part]) for part in (slice(half), slice(half, count))]


def test_steps_are_counted_from_the_middle_knot() -> None:
    values = SHAPE.values(np.array([9, 5, 1, 2, 4, 7, 8], np.float64)[:, None])[:, 0]
    assert values.tolist() == [9, -3, -2, 0, 4, 7, 8]


def test_the_gradient_by_parameters_is_the_transpose() -> None:
    by_values = RNG.normal(size=(7, 2))
    np.testing.assert_allclose(SHAPE.gradient(by_values), matrix().T @ by_values, atol=1e-12)


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_a_residual_is_the_slope_of_the_loss(link: Link) -> None:
    logits, target = RNG.normal(size=(1, 3)), RNG.random((1, 3))
    for k in range(3):
        aside = 1e-5 * np.eye(3)[[k]]
        slope = (loss_of(logits + aside, target, np.ones((1, 1)), link) - loss_of(logits - aside, target, np.ones((1, 1)), link)) / 2e-5
        assert residual_of(logits, target, link)[0, k] == pytest.approx(slope, abs=1e-6)


def test_least_squares_come_to_their_closed_form() -> None:
    """Ridge regression on the parameters, the bias free. Sums in float32 leave about 1e-3."""
    given = blocks("identity")
    x, y, w = (np.concatenate(arrays) for arrays in zip(*((b.rows.toarray(), b.target, b.weight) for b in given), strict=True))
    design = np.hstack([x @ matrix(), np.ones((len(x), 1))])
    pull = np.diag([*(2.0 * SHAPE.penalty[:, 0]), 0])
    wanted = np.linalg.solve(design.T @ (w * design) + pull, design.T @ (w * y))
    found = learn(given, SHAPE, "identity", 2.0, Model(np.zeros((7, 2)), np.zeros(2)), 500)
    np.testing.assert_allclose(np.vstack([found.parameters, found.bias]), wanted, atol=3e-3)


@pytest.mark.parametrize("sign", [-1, 1])
def test_bounded_steps_have_one_sign(sign: int) -> None:
    bounded = Shape(SHAPE.steps, SHAPE.knots, SHAPE.middle, SHAPE.anchor, np.array([0, 0, sign, sign, sign, 0, 0], np.int8), SHAPE.penalty)
    rising = np.array([0, 0, 0.3, 0.6, 0.9, 0, 0], np.float32)[:, None]
    given = [replace(b, target=np.hstack([b.rows @ rising, 1 - b.rows @ rising])) for b in blocks("sigmoid")]
    found = learn(given, bounded, "sigmoid", 0.01, Model(np.zeros((7, 2)), np.zeros(2)), 200)
    assert (sign * found.parameters[2:5] >= 0).all()
    assert (np.abs(found.parameters[2:5, (1 - sign) // 2]) > 0.1).all()
