"""Which examples go into which step. A function of (seed, epoch) alone, so that an interrupted epoch can be gone on with. Numpy only.

Shapes: N examples.
"""

from __future__ import annotations

import numpy as np

from penjing.core.types import NDArray

_MEGABATCH = 50
"""Batches among which examples are sorted by length: enough to leave little padding, few enough to keep the order random."""


def epoch_batches(lengths: NDArray, batch_size: int, seed: int, epoch: int) -> list[NDArray]:
    """Return the batches of an epoch: shuffled, then sorted by length within megabatches, then the batches shuffled.

    lengths: (N,) tokens of each example. Every example stands in exactly one batch.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    batches: list[NDArray] = []
    for start in range(0, len(order), _MEGABATCH * batch_size):
        mega = order[start : start + _MEGABATCH * batch_size]
        mega = mega[np.argsort(-lengths[mega], kind="stable")]
        batches += [mega[i : i + batch_size] for i in range(0, len(mega), batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]
