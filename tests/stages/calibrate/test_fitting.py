"""Shapes: B rows, W width of the output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penjing.core.blend import plain
from penjing.core.statistics import mean_loss, probabilities
from penjing.core.types import Link, NDArray
from penjing.stages.calibrate.fitting import FEW, METHODS, chosen, cross_fitted, fit


def drawn(logits_BW: NDArray, link: Link, seed: int) -> NDArray:
    """Return targets whose chances are what `logits_BW` say."""
    random = np.random.default_rng(seed)
    shares_BW = probabilities(logits_BW, link)
    if link == "softmax":
        return (random.random(len(shares_BW))[:, None] > shares_BW.cumsum(axis=1)).sum(axis=1).clip(0, shares_BW.shape[1] - 1)
    return (random.random(shares_BW.shape) < shares_BW).astype(np.float32)


def normal(rows: int, width: int = 4, seed: int = 0, scale: float = 1.5) -> NDArray:
    return np.random.default_rng(seed).normal(0, scale, (rows, width))


def overconfident(true_BW: NDArray) -> NDArray:
    return 3.0 * true_BW


def biased(true_BW: NDArray) -> NDArray:
    return (true_BW - np.array([2.0, 0.0, -2.0, 0.0])) / np.array([1.0, 3.0, 0.5, 1.0])


def bent(true_BW: NDArray) -> NDArray:
    """What is a little likely is called hardly possible, and what is likely is called certain: a step that no temperature can undo."""
    return true_BW + 6.0 * np.tanh(4.0 * (true_BW - 1.0))


@pytest.mark.parametrize(
    ("distort", "link", "wins"),
    [
        (overconfident, "softmax", "temperature"),
        (biased, "softmax", "vector"),
        (bent, "sigmoid", "isotonic"),
        (overconfident, "sigmoid", "temperature"),
        (biased, "sigmoid", "vector"),
    ],
)
def test_each_kind_of_calibration_wins_where_the_data_are_made_for_it(distort: Any, link: Link, wins: str) -> None:
    true_BW = normal(1500)
    target, said = drawn(true_BW, link, 1), {"a": distort(true_BW).astype(np.float32)}
    blend, _ = chosen(["a"], said, target, link)
    assert blend.method == wins
    fresh_BW = normal(4000, seed=7)
    fresh_target, fresh = drawn(fresh_BW, link, 8), {"a": distort(fresh_BW).astype(np.float32)}
    before, after = mean_loss(plain(["a"], 4, link).apply(fresh), fresh_target, link), mean_loss(blend.apply(fresh), fresh_target, link)
    best = mean_loss(fresh_BW, fresh_target, link)
    assert after < before
    assert after - best < 0.15 * (before - best)


def test_temperature_scaling_finds_the_temperature() -> None:
    true_BW = normal(5000)
    blend = fit(["a"], {"a": overconfident(true_BW)}, drawn(true_BW, "softmax", 1), "softmax", "temperature")
    assert float(blend.weights[0, 0]) == pytest.approx(1 / 3, rel=0.1)


def test_numbers_are_scaled_and_shifted_and_two_halves_of_a_number_are_added() -> None:
    a, b = normal(500, 1, 1), normal(500, 1, 2)
    target = (2 * a + 1).astype(np.float32)
    alone, _ = chosen(["a"], {"a": a}, target, "identity")
    assert alone.method == "vector"
    assert np.allclose(alone.apply({"a": a}), target, atol=0.1)
    both, _ = chosen(["a", "b"], {"a": a, "b": b}, a + b, "identity")
    assert np.allclose(both.weights, 1, atol=0.1)


def test_the_better_tier_weighs_more_and_one_that_knows_nothing_next_to_nothing() -> None:
    true_BW = normal(3000)
    target = drawn(true_BW, "softmax", 1)
    said = {"good": true_BW + normal(3000, seed=3, scale=0.5), "poor": true_BW + normal(3000, seed=4, scale=3.0), "none": normal(3000, seed=5)}
    weights = fit(list(said), said, target, "softmax", "temperature").weights[:, 0]
    assert weights[0] > 3 * weights[1] > 0
    assert weights[2] < 0.05


def test_no_tier_is_weighed_below_zero_by_temperature() -> None:
    true_BW = normal(500)
    said = {"a": true_BW, "against": -true_BW + normal(500, seed=3, scale=0.1)}
    assert (fit(list(said), said, drawn(true_BW, "softmax", 1), "softmax", "temperature").weights >= 0).all()


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_the_answer_to_a_row_is_fitted_without_it(link: Link) -> None:
    true_BW = normal(60)
    said, target = {"a": true_BW.astype(np.float32)}, drawn(true_BW, link, 1)
    for method in METHODS[link]:
        before = cross_fitted(["a"], said, target, link, method)
        for row in (0, 17, 59):
            other = target.copy()
            other[row] = (other[row] + 1) % 4 if link == "softmax" else 1 - other[row]
            after = cross_fitted(["a"], said, other, link, method)
            assert np.array_equal(after[row], before[row])
            assert method == "none" or not np.array_equal(after, before)


def test_a_blend_that_could_learn_the_rows_by_heart_is_not_rewarded() -> None:
    said = {name: normal(60, 20, seed, 4.0) for seed, name in enumerate("abcd")}
    target = np.random.default_rng(9).integers(0, 20, 60)
    by_heart = {m: mean_loss(fit(list(said), said, target, "softmax", m).apply(said), target, "softmax") for m in METHODS["softmax"]}
    fairly = {m: mean_loss(cross_fitted(list(said), said, target, "softmax", m), target, "softmax") for m in METHODS["softmax"]}
    assert by_heart["vector"] < by_heart["temperature"]
    assert fairly["vector"] > fairly["temperature"]
    blend, crossed = chosen(list(said), said, target, "softmax")
    assert blend.method != "vector"
    assert mean_loss(crossed, target, "softmax") == min(fairly.values())


@pytest.mark.parametrize("count", [0, 1, FEW, 2 * FEW - 1])
def test_few_rows_are_blended_plainly(count: int) -> None:
    said, target = {"a": normal(count), "b": normal(count, seed=1)}, np.zeros(count, np.int64)
    blend, crossed = chosen(["a", "b"], said, target, "softmax")
    assert blend.method == "none"
    assert np.array_equal(crossed, plain(["a", "b"], 4, "softmax").apply(said))


def test_enough_rows_are_fitted() -> None:
    true_BW = normal(2 * FEW)
    assert chosen(["a"], {"a": overconfident(true_BW)}, drawn(true_BW, "softmax", 1), "softmax")[0].method != "none"


def test_a_class_that_no_row_has_still_gets_finite_answers() -> None:
    true_BW = normal(100)
    said, target = {"a": true_BW}, true_BW[:, :2].argmax(axis=1)
    for method in METHODS["softmax"]:
        assert np.isfinite(fit(["a"], said, target, "softmax", method).apply(said)).all()


def test_isotonic_calibration_does_not_depend_on_the_order_of_equal_answers() -> None:
    said = np.repeat(np.array([[-2.0], [0.0], [2.0]]), 40, axis=0)
    target = (np.random.default_rng(0).random((120, 1)) < probabilities(said, "sigmoid")).astype(np.float32)
    order = np.random.default_rng(1).permutation(120)
    one, other = (fit(["a"], {"a": s}, t, "sigmoid", "isotonic") for s, t in ((said, target), (said[order], target[order])))
    assert one.knots is not None
    assert other.knots is not None
    assert np.allclose(one.knots, other.knots, atol=1e-6)
    assert one.knots.shape[1] <= 5


def test_the_same_rows_give_the_same_blend_to_the_bit() -> None:
    true_BW = normal(200)
    said, target = {"a": overconfident(true_BW)}, drawn(true_BW, "softmax", 1)
    first, second = (chosen(["a"], said, target, "softmax") for _ in range(2))
    assert first[0].described() == second[0].described()
    assert np.array_equal(first[1], second[1])
