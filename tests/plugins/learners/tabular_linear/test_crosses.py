"""What pairs are worth, on residuals whose law is known."""

from __future__ import annotations

import numpy as np

from penjing.plugins.learners.tabular_linear.crosses import Left, best, candidates, worth

HEIGHTS = np.array([4, 4, 4], np.int32)


def left(seed: int, effect: float) -> Left:
    """Return squared-error residuals of a law on the first two columns, and noise."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 4, (4000, 3)).astype(np.int32)
    truth = effect * (-1.0) ** (levels[:, 0] + levels[:, 1])
    return Left(levels, -(truth + rng.normal(size=4000))[:, None], np.ones((4000, 1)))


def test_a_pair_is_worth_what_it_takes_off_the_loss_of_unseen_rows() -> None:
    """An effect of 0.5 takes 0.5²/2 a row off half the squared error; 15 % allowed for noise."""
    assert abs(worth((0, 1), HEIGHTS, left(0, 0.5), left(1, 0.5), 1.0) / 4000 - 0.125) < 0.02


def test_pairs_without_an_effect_are_left_out() -> None:
    learnt, watched = left(0, 0.5), left(1, 0.5)
    assert best([(0, 1), (0, 2), (1, 2)], lambda pair: worth(pair, HEIGHTS, learnt, watched, 1.0), 3) == [(0, 1)]


def test_candidates_begin_with_the_most_important_columns() -> None:
    assert candidates([7, 3, 5, 1], 3) == [(3, 7), (5, 7), (1, 7)]
    assert len(candidates(range(10), 1000)) == 45
