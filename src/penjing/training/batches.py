"""Which examples go together: into a step, and through the model at once. Numpy only.

Shapes: N examples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from penjing.core.types import NDArray

_MEGABATCH = 50
"""Batches among which examples are sorted by length: enough to leave little padding, few enough to keep the order random."""


def epoch_batches(lengths: NDArray, batch_size: int, seed: int, epoch: int) -> list[NDArray]:
    """Return the batches of an epoch: shuffled, then, where lengths differ, sorted by them within megabatches, then the batches shuffled.

    lengths: (N,) tokens of each example. Every example stands in exactly one batch. No batch is larger than `batch_size`, and all are alike in
    size: a last one of a single row would count as much as a whole one, and has no spread that a net could normalise by.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    count = -(-len(order) // batch_size)
    if not count or lengths.min() == lengths.max():
        return np.array_split(order, count) if count else []
    bounds = np.linspace(0, len(order), count + 1).astype(np.int64)
    for start in range(0, count, _MEGABATCH):
        mega = slice(bounds[start], bounds[min(start + _MEGABATCH, count)])
        order[mega] = order[mega][np.argsort(-lengths[order[mega]], kind="stable")]
    return [order[bounds[i] : bounds[i + 1]] for i in random.permutation(count)]


def pieces(sizes: NDArray, most: int) -> Iterator[NDArray]:
    """Yield the places of examples that go through at once, the largest first: sizes that sum to at most `most` (a larger one goes alone).

    sizes: (N,), such as tokens.
    """
    order = np.argsort(-sizes, kind="stable")
    start = total = 0
    for i, place in enumerate(order):
        if i > start and total + sizes[place] > most:
            yield order[start:i]
            start, total = i, 0
        total += int(sizes[place])
    if start < len(order):
        yield order[start:]
