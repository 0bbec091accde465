"""Finds the pairs of columns that say more together than apart. Knows nothing of how values are learnt.

As FAST does (Lou, Caruana, Gehrke and Hooker 2013, KDD, section 4), what a model leaves over is averaged in each cell of a pair: here by one Newton
step held back by L2. A pair is worth what these averages take off the loss of rows that they have not seen, to second order.

Shapes: n rows, M single columns, E entries, V numbers a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.tabular_linear.descent import residual_of
from penjing.plugins.learners.tabular_linear.design import Part, blocks_of, chunks, link_of

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Left:
    """What a model leaves over of some rows."""

    levels: NDArray
    """(n, M) int32, of each column."""
    residual: NDArray
    """(n, V): gradient of the loss by the logits."""
    curvature: NDArray
    """(n, V): its second derivative, the answers of a row taken one by one."""


def left_over(engine: Any, values_EV: NDArray, bias_V: NDArray, part: Part, spec: Spec) -> Left:
    """Return what the model of these values and this bias leaves over of `part`. engine: lays out the entries; its own values have no say."""
    columns, link = len(engine.counts) + len(engine.sizes), link_of(spec)
    found = []
    for piece in chunks(part):
        [block] = blocks_of(engine, piece, spec)
        residual = residual_of(block.rows @ values_EV + bias_V, block.target, link)
        said = residual + block.target
        curvature = np.ones_like(said) if link == "identity" else np.maximum(said * (1 - said), 0)
        entries = engine.find(piece.examples.batch(piece.indices)[0]).entries[:, :columns]
        found.append((engine.levels[entries], residual * block.weight, curvature * block.weight))
    return Left(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))


def worth(pair: Pair, heights: NDArray, learnt: Left, watched: Left, l2: float) -> float:
    """Return what `pair` takes off the summed loss of the watched rows. heights: (M,) levels of each column."""
    a, b = pair
    cells = int(heights[a]) * int(heights[b])
    seen, asked = (left.levels[:, a] * heights[b] + left.levels[:, b] for left in (learnt, watched))
    taken = 0.0
    for k in range(learnt.residual.shape[1]):
        slope, curvature = (np.bincount(seen, array[:, k], cells) for array in (learnt.residual, learnt.curvature))
        step = (-slope / (curvature + l2 + 1e-9))[asked]
        taken -= float((step * (watched.residual[:, k] + watched.curvature[:, k] * step / 2)).sum())
    return taken


def candidates(columns: Sequence[int], most: int) -> list[Pair]:
    """Return pairs of `columns`, which come in the order of their importance: at most `most`, those of important columns first."""
    places = sorted(combinations(range(len(columns)), 2), key=lambda p: (p[0] + p[1], p))[:most]
    return [(min(columns[i], columns[j]), max(columns[i], columns[j])) for i, j in places]


def best(pairs: Sequence[Pair], worth_of: Callable[[Pair], float], count: int) -> list[Pair]:
    """Return the `count` pairs that are worth most, if they are worth anything, the best first."""
    found = [(worth_of(pair), pair) for pair in pairs]
    return [pair for value, pair in sorted(found, key=lambda f: (-f[0], f[1]))[:count] if value > 0]
