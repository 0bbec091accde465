"""A column that tells the target is found out, and one of many values that does not is no better than guessing."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.core.tables.disguise import explained, share_right

N = 4000
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, N)


def test_a_copy_of_the_labels_is_always_right() -> None:
    assert share_right(LABELS.astype(str), LABELS) == 1
    assert share_right(LABELS * 10.0 + RNG.random(N), LABELS) > 0.99


@pytest.mark.parametrize(
    "values", [np.arange(N).astype(str), RNG.random(N), RNG.integers(0, 900, N).astype(float), np.full(N, "a"), np.full(N, np.nan)]
)
def test_values_that_say_nothing_are_as_good_as_guessing(values: np.ndarray) -> None:
    assert share_right(values, LABELS) < 0.4


def test_values_that_say_nothing_explain_nothing() -> None:
    values = RNG.normal(size=N)
    assert explained(np.arange(N).astype(str), values) == pytest.approx(0, abs=0.02)
    assert explained(RNG.random(N), values) < 0.02


@pytest.mark.parametrize("power", [1, 3])
def test_a_rescaled_target_explains_all_of_it(power: int) -> None:
    values = RNG.normal(size=N)
    assert explained(5 * values**power + 3, values) > 0.99


def test_a_noisy_copy_explains_the_share_that_it_holds() -> None:
    values = RNG.normal(size=N)
    # Half of the variance is noise, and means of three rows add a third of it again.
    assert explained(values + RNG.normal(size=N), values) == pytest.approx(1 - 0.5 * 4 / 3, abs=0.05)


def test_missing_numbers_are_a_group_of_their_own() -> None:
    values = np.where(LABELS == 2, np.nan, LABELS.astype(float))
    assert share_right(values, LABELS) == 1


def test_equal_numbers_of_a_file_that_is_sorted_by_the_target_do_not_tell_it() -> None:
    values = np.concatenate([np.zeros(N - 30), np.arange(30.0)])
    assert share_right(values, np.sort(LABELS)) < 0.5


def test_a_constant_target_is_not_divided_by_nothing() -> None:
    assert explained(RNG.random(N), np.ones(N)) == 0
