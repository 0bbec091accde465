from __future__ import annotations

from collections.abc import Iterator
from math import factorial

import numpy as np
import pytest
from scipy.stats import binom, multinomial

from penjing.core.types import NDArray
from penjing.stages.calibrate import certificate
from penjing.stages.calibrate.certificate import Keep, Promise, certified, not_worse


def losses(lost: int, gained: int, n: int) -> NDArray:
    return np.r_[np.ones(lost), -np.ones(gained), np.zeros(n - lost - gained)]


@pytest.mark.parametrize(("n", "lost", "gained"), [(1, 0.3, 0.1), (5, 0.2, 0.2), (9, 0.6, 0.4), (12, 0.05, 0.0), (12, 0.4, 0.05)])
def test_the_tail_of_a_difference_is_what_counting_every_outcome_gives(n: int, lost: float, gained: float) -> None:
    for difference in range(-n, n + 1):
        brute = 0.0
        for won in range(n + 1):
            for missed in range(n + 1 - won):
                if missed - won <= difference:
                    ways = factorial(n) / (factorial(won) * factorial(missed) * factorial(n - won - missed))
                    brute += ways * lost**missed * gained**won * (1 - lost - gained) ** (n - won - missed)
        assert certificate._tail(difference, n, lost, gained) == pytest.approx(brute, abs=1e-12)


@pytest.mark.parametrize("n", [1000, 20_000])
def test_the_tail_is_right_for_many_rows_too(n: int) -> None:
    lost, gained = 0.02, 0.01
    drawn = np.random.default_rng(0).multinomial(n, [lost, gained, 1 - lost - gained], 200_000)
    for quantile in (0.001, 0.05, 0.5):
        difference = int(np.quantile(drawn[:, 0] - drawn[:, 1], quantile))
        share = (drawn[:, 0] - drawn[:, 1] <= difference).mean()
        assert certificate._tail(difference, n, lost, gained) == pytest.approx(share, abs=5 * np.sqrt(share / 200_000))


@pytest.mark.parametrize(("n", "margin", "level"), [(25, 0.2, 0.05), (25, 0.1, 0.2), (12, 0.3, 0.1)])
def test_a_broken_promise_of_accuracy_passes_no_more_often_than_the_level_whatever_is_gained(n: int, margin: float, level: float) -> None:
    promise = Promise("accuracy", margin, 1 - level)
    pairs = [(lost, gained) for lost in range(n + 1) for gained in range(n + 1 - lost)]
    passing = [pair for pair in pairs if promise.holds(losses(*pair, n))]
    assert passing
    rates = []
    for share in np.linspace(0, (1 - margin) / 2, 40):
        chances = [margin + share, share, max(1 - margin - 2 * share, 0.0)]
        rates.append(sum(multinomial.pmf([lost, gained, n - lost - gained], n, chances) for lost, gained in passing))
    assert max(rates) <= level + 1e-9
    assert max(rates) > level / 10  # it is exact, and not merely cautious


@pytest.mark.parametrize(("n", "limit", "level"), [(60, 0.9, 0.05), (299, 0.99, 0.05), (500, 0.98, 0.1)])
def test_a_broken_promise_of_agreement_passes_no_more_often_than_the_level(n: int, limit: float, level: float) -> None:
    promise = Promise("agreement", limit, 1 - level)
    rate = sum(binom.pmf(lost, n, 1 - limit) for lost in range(n + 1) if promise.holds(losses(lost, 0, n)))
    assert level / 10 < rate <= level + 1e-9


def test_99_percent_of_agreement_with_95_percent_confidence_needs_299_rows() -> None:
    assert Promise("agreement", 0.99, 0.95).rows_needed == 299


@pytest.mark.parametrize(
    ("keep", "limit", "confidence"),
    [("agreement", 0.95, 0.95), ("agreement", 0.995, 0.9), ("agreement", 0.6, 0.5), ("accuracy", 0.01, 0.95), ("accuracy", 0.05, 0.8)],
)
def test_the_rows_needed_are_the_fewest_that_can_pass(keep: Keep, limit: float, confidence: float) -> None:
    promise = Promise(keep, limit, confidence)
    assert promise.holds(np.zeros(promise.rows_needed))
    assert not promise.holds(np.zeros(promise.rows_needed - 1))
    assert not promise.holds(losses(1, 0, promise.rows_needed))


def test_a_tiny_margin_is_answered_with_how_many_rows_it_would_need() -> None:
    assert Promise("accuracy", 1e-6, 0.95).rows_needed > 1_000_000


def test_more_rows_lost_make_it_less_likely_and_more_gained_more_likely() -> None:
    by_lost = [not_worse(lost, 3, 400, 0.02, 0.005) for lost in range(12)]
    by_gained = [not_worse(6, gained, 400, 0.02, 0.005) for gained in range(12)]
    assert by_lost == sorted(by_lost)
    assert by_gained[-1] < by_gained[0]
    assert not_worse(400, 0, 400, 0.02, 0.005) == 1.0


def test_partial_losses_count_as_whole_ones() -> None:
    promise = Promise("agreement", 0.9, 0.95)
    assert promise.p_value(np.r_[0.2, 0.5, np.zeros(98)]) == promise.p_value(np.r_[1.0, 1.0, np.zeros(98)])


def test_no_rows_prove_nothing() -> None:
    assert not Promise("agreement", 0.6, 0.5).holds(np.zeros(0))


def test_testing_ends_at_the_first_setting_that_is_not_shown_to_keep_the_promise() -> None:
    tested = []

    def settings() -> Iterator[NDArray]:
        for lost in (0, 1, 50, 0, 0):
            tested.append(lost)
            yield losses(lost, 0, 600)

    assert certified(Promise("agreement", 0.99, 0.95), settings()) == 2
    assert tested == [0, 1, 50]


@pytest.mark.parametrize("settings", [1, 5, 40])
def test_however_many_settings_are_tried_a_broken_one_is_certified_no_more_often_than_the_level(settings: int) -> None:
    promise, random = Promise("agreement", 0.95, 0.9), np.random.default_rng(settings)
    # Each breaks the promise by a hair, and none knows of the others: trying them all without stopping would pass one nearly always.
    wrong = sum(certified(promise, ((random.random(400) < 0.0501).astype(float) for _ in range(settings))) > 0 for _ in range(1000))
    assert wrong <= binom.ppf(0.999, 1000, 0.1)


def test_nothing_is_certified_of_no_settings() -> None:
    assert certified(Promise("agreement", 0.99, 0.95), []) == 0
