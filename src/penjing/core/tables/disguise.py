"""How well one column alone tells another: what a column that is the target in disguise does perfectly. Pure numpy; knows no rows and no warnings.

Both measures are split-half: what is seen in one half of the rows answers the other, so that a column of many values gains nothing by chance. Rows
with the same text, or the same one of few numbers, answer for each other; of many numbers the nearest do.

Shapes: N rows, A rows that are asked, K rows that answer, G groups of rows with equal values.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from penjing.core.types import NDArray

_FEW = 20
"""Different numbers up to which the rows of each are a group."""
_NEAREST = 3


def share_right(values_N: NDArray, label_N: NDArray) -> float:
    """Return the share of rows whose label is the commonest of the rows with like values in the other half.

    values_N: texts, or float64 with NaN for missing; label_N: (N,) int64.
    """
    group_N = _groups(values_N)
    found_N = np.empty_like(label_N)
    for known_K, asked_A in _halves(len(values_N)):
        if group_N is None:  # of three labels in their order the middle one is the commonest, if two are the same
            found_N[asked_A] = np.sort(label_N[known_K][_nearest(values_N[known_K], values_N[asked_A])], axis=1)[:, 1]
        else:
            found_N[asked_A] = _commonest(group_N[known_K], label_N[known_K], int(group_N.max()) + 1)[group_N[asked_A]]
    return float((found_N == label_N).mean())


def explained(values_N: NDArray, target_N: NDArray) -> float:
    """Return the share of the variance of `target_N`, numbers, that the means of rows with like values in the other half explain.

    It is R², and below 0 where they mislead.
    """
    group_N = _groups(values_N)
    found_N = np.empty(len(target_N))
    for known_K, asked_A in _halves(len(values_N)):
        if group_N is None:
            found_N[asked_A] = target_N[known_K][_nearest(values_N[known_K], values_N[asked_A])].mean(axis=1)
        else:
            found_N[asked_A] = _means(group_N[known_K], target_N[known_K], int(group_N.max()) + 1)[group_N[asked_A]]
    spread = float(((target_N - target_N.mean()) ** 2).sum())
    return 1 - float(((target_N - found_N) ** 2).sum()) / spread if spread else 0.0


def _groups(values_N: NDArray) -> NDArray | None:
    """Return (N,) the group of each row, None for numbers that are too many for that."""
    different, group_N = np.unique(values_N, return_inverse=True)
    return None if values_N.dtype.kind == "f" and len(different) > _FEW else group_N


def _halves(count: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield two halves of the rows, in no order, and then the other way round: equal values must not stand in the order of a sorted file."""
    order_N = np.random.default_rng(0).permutation(count)
    one, other = order_N[: count // 2], order_N[count // 2 :]
    yield from ((one, other), (other, one))


def _nearest(known_K: NDArray, asked_A: NDArray) -> NDArray:
    """Return (A, 3) places in `known_K` of the neighbours of each asked value: equal ones if there are any, else those on both sides."""
    order_K = np.argsort(known_K, kind="stable")
    sorted_K = known_K[order_K]
    place_A = np.searchsorted(sorted_K, asked_A)
    at_A = sorted_K[np.minimum(place_A, len(known_K) - 1)]
    equal_A = (at_A == asked_A) | (np.isnan(at_A) & np.isnan(asked_A))
    first_A = np.clip(np.where(equal_A, place_A, place_A - 1), 0, max(0, len(known_K) - _NEAREST))
    found: NDArray = order_K[np.minimum(first_A[:, None] + np.arange(_NEAREST), len(known_K) - 1)]
    return found


def _commonest(group_K: NDArray, label_K: NDArray, count: int) -> NDArray:
    """Return (G,) the commonest label of each group, that of all for a group without rows."""
    width = int(label_K.max()) + 1
    pairs, counts = np.unique(group_K * width + label_K, return_counts=True)
    pairs = pairs[np.argsort(counts, kind="stable")]
    best_G = np.full(count, np.bincount(label_K).argmax())
    best_G[pairs // width] = pairs % width  # of several labels of a group the last stays, the commonest
    return best_G


def _means(group_K: NDArray, target_K: NDArray, count: int) -> NDArray:
    """Return (G,) the mean of each group, that of all for a group without rows."""
    counts_G = np.bincount(group_K, minlength=count)
    return np.where(counts_G, np.bincount(group_K, target_K, count) / np.maximum(counts_G, 1), target_K.mean())
