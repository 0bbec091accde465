"""The order of an epoch: everything once, little padding, and the same again for the same seed."""

from __future__ import annotations

import numpy as np

from penjing.training.batches import epoch_batches

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


def test_batches_are_alike_in_size_and_none_is_larger_than_asked_for() -> None:
    for lengths in (LENGTHS, np.ones(1000, np.int64), LENGTHS[:33]):
        sizes = {len(rows) for rows in epoch_batches(lengths, 16, 1, 1)}
        assert max(sizes) <= 16
        assert max(sizes) - min(sizes) <= 1


def test_nothing_makes_no_batch() -> None:
    assert epoch_batches(LENGTHS[:0], 16, 1, 1) == []
