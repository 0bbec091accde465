from __future__ import annotations

import numpy as np

from penjing.stages.prepare.splits import ordered


def test_the_latest_rows_are_the_last_split_and_the_earliest_the_first() -> None:
    seconds = np.random.default_rng(0).permutation(1000).astype(float)
    split = ordered(seconds, [0.6, 0.1, 0.1, 0.2])
    assert np.bincount(split).tolist() == [600, 100, 100, 200]
    order = np.argsort(seconds)
    assert (np.diff(split[order]) >= 0).all()


def test_rows_of_one_moment_stay_in_one_split() -> None:
    seconds = np.repeat(np.arange(7.0), [10, 30, 5, 5, 30, 10, 10])
    split = ordered(seconds, [0.5, 0.0, 0.0, 0.5])
    assert all(len(set(split[seconds == moment])) == 1 for moment in range(7))
    assert set(split) == {0, 3}, "a split without a share gets no row"
    assert (split[seconds <= 3] == 0).all()
    assert (split[seconds == 5] == 3).all()
