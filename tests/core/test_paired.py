"""Paired tests agree with reference implementations, and cover what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from penjing.core.paired import bonett_price, mcnemar, paired


@pytest.mark.parametrize(("wins", "losses"), [(1, 7), (12, 4), (0, 0), (5, 5), (0, 9), (300, 260)])
def test_mcnemars_p_value_is_that_of_the_binomial_test(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert mcnemar(wins, losses) == pytest.approx(expected, abs=1e-12)


def test_the_interval_is_that_of_statpsych() -> None:
    """ci.prop.ps(.05, 12, 4, 26, 6) of the R package statpsych, by the authors of the method, gives 0.2548067 and 0.6251933."""
    assert bonett_price(26, 4, 48) == pytest.approx((0.2548067, 0.6251933), abs=1e-6)


def test_the_interval_covers_the_difference_as_often_as_it_says() -> None:
    rng, covered, trials = np.random.default_rng(0), 0, 2000
    for wins, losses, _ in rng.multinomial(80, [0.15, 0.08, 0.77], size=trials):
        low, high = bonett_price(wins, losses, 80)
        covered += low <= 0.07 <= high
    assert covered >= trials * (0.95 - 3 * np.sqrt(0.95 * 0.05 / trials))


def test_right_and_wrong_answers_are_counted_exactly() -> None:
    ours, theirs = np.array([1, 1, 1, 0, 0, 1.0]), np.array([1, 0, 0, 0, 1, 0.0])
    found = paired(ours, theirs)
    assert (found.value, found.wins, found.losses, found.n) == (pytest.approx(2 / 6), 3, 1, 6)
    assert found.p == pytest.approx(stats.binomtest(3, 4).pvalue)
    assert "McNemar" in found.method


def test_credit_between_right_and_wrong_is_resampled() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.normal(0.5, 0.3, 400)
    found = paired(theirs + rng.normal(0.02, 0.05, 400), theirs)
    assert 0 < found.low < found.value < found.high
    assert found.p < 0.01
    assert "bootstrap" in found.method


def test_the_bootstrap_interval_is_near_that_of_the_paired_t_test() -> None:
    difference = np.random.default_rng(3).normal(0.01, 0.1, 500)
    found = paired(difference, np.zeros(500))
    expected = stats.ttest_1samp(difference, 0).confidence_interval()
    # 2,000 resamples leave an error of 6 % of a standard error, sqrt(0.025 · 0.975 / 2000) / φ(1.96), in each end; three of them.
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.18 * difference.std() / np.sqrt(500))


@pytest.mark.parametrize("credit", [np.ones(30), np.linspace(0.1, 0.9, 30)])
def test_equal_sides_differ_in_nothing(credit: np.ndarray) -> None:
    found = paired(credit, credit)
    assert (found.value, found.p, found.wins, found.losses) == (0, 1, 0, 0)
    assert found.low <= 0 <= found.high
