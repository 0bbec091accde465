"""Lays out the tables of an additive model before it learns: knots of numbers, known codes, and the levels that pairs are made of.

Knots are where the training rows are: every value of a column that has few, and otherwise equal shares of the rows between them, with a knot of
its own for a value that many rows have (no hours, no gains). Knows nothing of targets.

Shapes: n rows, K knots of a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penjing.core import plugins
from penjing.core.examples import Examples
from penjing.core.types import NDArray, Spec

ENGINE = "additive"
LEVELS = 12
"""Most levels of a number column in a pair, missing aside."""
CODES = 32
"""Most levels of a code column in a pair: missing, other and the commonest."""
_SAMPLE = 200_000
"""Rows that knots are placed by."""
_MOST = 1e38


def untaught(examples: Examples, bins: int, output: str, spec: Spec, seed: int) -> Any:
    """Return an engine with tables for every column of `examples`, all zero, and none for pairs."""
    n = len(examples)
    rows = np.arange(n) if n <= _SAMPLE else np.sort(np.random.default_rng(seed).choice(n, _SAMPLE, replace=False))
    numbers = np.asarray(examples.inputs["numbers"])[rows]
    knots = [knots_of(numbers[:, i], bins) for i in range(numbers.shape[1])]
    sizes = np.asarray(examples.inputs["codes"]).max(axis=0, initial=1) + 1
    levels = [levels_of(numbers[:, i], k) for i, k in enumerate(knots)] + [np.where(np.arange(s) < CODES, np.arange(s), 1) for s in sizes]
    entries, width = sum(map(len, levels)), spec.width - (spec == Spec(2, "softmax"))
    return plugins.load("engines", ENGINE)(
        knots=_joined(knots, np.float32),
        counts=np.array([len(k) for k in knots], np.int32),
        sizes=sizes.astype(np.int32),
        levels=_joined(levels, np.int32),
        pairs=np.zeros((0, 2), np.int32),
        values=np.zeros((entries, width), np.float32),
        bias=np.zeros(width, np.float32),
        output=output,
        width=spec.width,
    )


def knots_of(numbers_n: NDArray, bins: int) -> NDArray:
    """Return (K,) float32 rising knots, at least two and at most `bins`, for the training numbers of a column; NaN is missing."""
    there = np.clip(numbers_n[~np.isnan(numbers_n)], -_MOST, _MOST).astype(np.float32)
    values, counts = np.unique(there, return_counts=True)
    if len(values) < 2:
        only = values[0] if len(values) else np.float32(0)
        return np.array([only, only + max(abs(only), np.float32(1))], np.float32)
    if len(values) <= bins:
        return values
    # What is common gets a knot; what remains shares the other knots by equal numbers of rows.
    common = counts > len(there) / bins
    rest = np.repeat(values[~common], counts[~common])
    left = max(bins - int(common.sum()), 2)
    shared = np.quantile(rest, np.linspace(0, 1, left), method="inverted_cdf") if len(rest) else rest
    return np.unique(np.concatenate([values[common], shared, values[[0, -1]]])).astype(np.float32)


def levels_of(numbers_n: NDArray, knots: NDArray) -> NDArray:
    """Return (1 + K,) int32 levels of what is missing (0) and of each knot: neighbours share one, so that levels hold about equally many rows."""
    there = numbers_n[~np.isnan(numbers_n)]
    at = np.clip(np.searchsorted(knots, there, side="right") - 1, 0, len(knots) - 1)
    before = np.cumsum(np.bincount(at, minlength=len(knots))) - np.bincount(at, minlength=len(knots)) / 2
    levels = np.minimum(LEVELS * before / max(len(there), 1), LEVELS - 1).astype(np.int32) if len(knots) > LEVELS else np.arange(len(knots))
    return np.concatenate([[0], 1 + np.unique(levels, return_inverse=True)[1]]).astype(np.int32)


def _joined(parts: Sequence[NDArray], dtype: Any) -> NDArray:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)
