"""Divides rows into train, validation, calibration and test: stratified, and by whole groups where rows belong together. Pure numpy.

Shapes: B rows, S splits, C strata, G groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penjing.core.types import NDArray


def stratified(strata_B: NDArray, shares: Sequence[float], seed: int) -> NDArray:
    """Return (B,) the split of each row. Each stratum is divided by `shares` (the first takes the rest); the first is never left empty."""
    rng = np.random.default_rng(seed)
    split_B = np.zeros(len(strata_B), np.int64)
    owed = np.zeros(len(shares))
    for stratum in np.unique(strata_B):
        members = rng.permutation(np.flatnonzero(strata_B == stratum))
        start = 0
        for split in range(1, len(shares)):
            # What rounding takes from one stratum is owed to the next, so that the totals come out right.
            owed[split] += len(members) * shares[split]
            count = min(int(owed[split] + 0.5), len(members) - 1 - start)
            owed[split] -= count
            split_B[members[start : start + count]] = split
            start += count
    return split_B


def grouped(strata_B: NDArray, groups_B: NDArray, shares: Sequence[float], seed: int) -> NDArray:
    """Return (B,) the split of each row, such that no group stands in two splits and strata are as balanced as groups allow.

    Greedy: large groups first, each to the split that lacks its strata most (as in scikit-learn's StratifiedGroupKFold).
    """
    _, strata_B = np.unique(strata_B, return_inverse=True)
    _, groups_B = np.unique(groups_B, return_inverse=True)
    counts_GC = np.zeros((groups_B.max() + 1, strata_B.max() + 1))
    np.add.at(counts_GC, (groups_B, strata_B), 1)
    total_C = counts_GC.sum(axis=0)
    wanted_SC = np.outer(shares, total_C)
    have_SC = np.zeros_like(wanted_SC)
    tie_G = np.random.default_rng(seed).permutation(len(counts_GC))
    split_G = np.zeros(len(counts_GC), np.int64)
    for group in np.lexsort((tie_G, -counts_GC.sum(axis=1))):
        lack_S = ((wanted_SC - have_SC) * counts_GC[group] / total_C).sum(axis=1)
        room_S = (wanted_SC - have_SC).sum(axis=1) / np.maximum(wanted_SC.sum(axis=1), 1)
        split_G[group] = np.lexsort((-room_S, -np.round(lack_S, 12)))[0]
        have_SC[split_G[group]] += counts_GC[group]
    return split_G[groups_B]


def ordered(seconds_B: NDArray, shares: Sequence[float]) -> NDArray:
    """Return (B,) the split of each row, the earliest rows in the first split and the latest in the last. Rows of one moment stay together."""
    _, place_B = np.unique(seconds_B, return_inverse=True)
    before_M = np.concatenate([[0], np.cumsum(np.bincount(place_B))[:-1]]) / len(seconds_B)
    # A moment goes where its first row would go.
    split_M = np.searchsorted(np.cumsum(shares)[:-1], before_M + 1e-12, side="right")
    split_B: NDArray = split_M[place_B]
    return split_B
