"""Where knots and levels come to lie."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.plugins.learners.tabular_linear.layout import LEVELS, knots_of, levels_of

NAN = float("nan")


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_every_value_of_a_column_with_few_is_a_knot() -> None:
    assert knots_of(floats(3, 1, NAN, 3, 2, 1), 8).tolist() == [1, 2, 3]


@pytest.mark.parametrize("values", [[], [NAN, NAN], [5, 5, NAN], [1e38], [np.inf, np.inf], [-np.inf, np.inf], [0, 1e-45]], ids=str)
def test_any_column_has_two_rising_finite_knots_or_more(values: list[float]) -> None:
    knots = knots_of(floats(*values), 8)
    assert len(knots) >= 2
    assert np.isfinite(knots).all()
    assert (np.diff(knots) > 0).all()


def test_many_values_share_knots_by_rank_and_common_ones_get_their_own() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([np.exp(rng.normal(size=2000) * 3), np.full(8000, 0.0), np.full(1000, 777.0)]).astype(np.float32)
    knots = knots_of(values, 32)
    assert len(knots) <= 32
    assert {0, 777, values.min(), values.max()} <= set(knots.tolist())
    inner = np.sort(values[:2000])
    assert np.diff(np.searchsorted(inner, knots)).max() < 200


def test_levels_hold_about_equally_many_rows() -> None:
    values = np.random.default_rng(0).exponential(size=10_000).astype(np.float32)
    knots = knots_of(values, 128)
    levels = levels_of(values, knots)
    assert len(levels) == len(knots) + 1
    assert levels[0] == 0
    assert sorted(set(levels[1:].tolist())) == list(range(1, LEVELS + 1))
    assert (np.diff(levels) >= 0).all()
    counts = np.bincount(levels[np.searchsorted(knots, values, side="right")])[1:]
    assert counts.max() < 2 * 10_000 / LEVELS


def test_few_knots_are_a_level_each() -> None:
    assert levels_of(floats(1, 2, 3, NAN), floats(1, 2, 3)).tolist() == [0, 1, 2, 3]
