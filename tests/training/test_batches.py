"""The order of an epoch: everything once, little padding, and the same again for the same seed."""

from __future__ import annotations

import numpy as np

from penjing.training.batches import epoch_batches
from penjing.training.loop import slope

LENGTHS = np.random.default_rng(0).integers(1, 300, 1000)


def test_every_example_is_in_one_batch() -> None:
    assert sorted(np.concatenate(epoch_batches(LENGTHS, 16, 1, 1))) == list(range(1000))


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [int(i) for i in np.concatenate(epoch_batches(LENGTHS, 16, seed, epoch))]

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)


def test_batches_hold_texts_of_like_length() -> None:
    padded = sum(len(rows) * LENGTHS[rows].max() for rows in epoch_batches(LENGTHS, 16, 1, 1))
    assert padded < 1.1 * LENGTHS.sum()


def test_the_learning_rate_rises_for_a_tenth_and_falls_to_zero() -> None:
    slopes = [slope(step, 100) for step in range(100)]
    assert np.argmax(slopes) == 9
    assert slopes[9] == 1
    assert 0 < slopes[99] < 0.02
    assert slope(0, 1) == 1
