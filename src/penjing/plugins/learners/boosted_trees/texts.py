"""Reads LightGBM's text of an ensemble into the arrays of the engine `trees`. Knows nothing of rows, nor of LightGBM's library.

The text holds a section a tree, of lines `name=values`; numbers are written with 17 digits, which give back the same float64. Children are nodes,
or leaves as -1 - leaf. Bits of `decision_type`: 1 category, 2 missing goes left, 4 zero is missing, 8 NaN is missing (LightGBM's tree.h).

Shapes: M nodes and L leaves of a tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from penjing.core.errors import RunFailed
from penjing.core.types import NDArray

_CATEGORY, _LEFT, _ZERO, _NAN = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class _Tree:
    feature: NDArray
    threshold: NDArray
    category: NDArray
    """(M,) bool: whether the threshold is the place of a set."""
    missing_left: NDArray
    first: NDArray
    middle: NDArray
    values: NDArray
    """(L,) float64, from left to right."""
    sets: list[NDArray]


def arrays_of(ensembles: Sequence[str], classes: Sequence[int]) -> dict[str, NDArray]:
    """Return the arrays of `Trees` but its bias, for ensembles of so many trees a round each; an empty text is one without trees."""
    found: list[_Tree] = []
    ends = [0]
    for text, width in zip(ensembles, classes, strict=True):
        grown = [_tree(section) for section in _sections(text)]
        for k in range(width):
            found += grown[k::width]
            ends.append(len(found))
    sets = [words for tree in found for words in tree.sets]
    before = np.cumsum([0, *(len(tree.sets) for tree in found)])
    thresholds = [tree.threshold + tree.category * start for tree, start in zip(found, before, strict=False)]
    return {
        "trees": np.array(ends, np.int64),
        "nodes": _starts([len(tree.feature) for tree in found]),
        "feature": _joined([tree.feature for tree in found], np.int32),
        "threshold": _joined(thresholds, np.float64),
        "missing_left": _joined([tree.missing_left for tree in found], np.bool_),
        "first": _joined([tree.first for tree in found], np.int32),
        "middle": _joined([tree.middle for tree in found], np.int32),
        "leaves": _starts([len(tree.values) for tree in found]),
        "values": _joined([tree.values for tree in found], np.float64),
        "sets": _starts([len(words) for words in sets]),
        "bits": _joined(sets, np.uint32),
    }


def _sections(text: str) -> Iterator[dict[str, str]]:
    """Yield the lines of each tree by name."""
    for section in text.partition("\nend of trees")[0].split("\nTree=")[1:]:
        yield dict(line.split("=", 1) for line in section.splitlines()[1:] if "=" in line)


def _tree(lines: dict[str, str]) -> _Tree:
    """Raises RunFailed for a kind of tree that the engine does not have."""
    kind, threshold = _numbers(lines, "decision_type", np.int64), _numbers(lines, "threshold", np.float64)
    if (kind & _ZERO).any() or lines.get("is_linear", "0") != "0":
        raise RunFailed("An ensemble holds trees that take zero for missing, or are linear in their leaves. Learn the tier again.")
    first, middle, order = _from_left_to_right(lines, len(kind))
    category = (kind & _CATEGORY) != 0
    # Where training saw no missing value, LightGBM reads one as 0.
    left = np.where(kind & _NAN, (kind & _LEFT) != 0, threshold >= 0) & ~category
    bounds, words = _numbers(lines, "cat_boundaries", np.int64), _numbers(lines, "cat_threshold", np.uint32)
    sets = [words[start:end] for start, end in pairwise(bounds)]
    values = _numbers(lines, "leaf_value", np.float64)[order]
    return _Tree(_numbers(lines, "split_feature", np.int32), threshold, category, left, first, middle, values, sets)


def _from_left_to_right(lines: dict[str, str], nodes: int) -> tuple[NDArray, NDArray, NDArray]:
    """Return (M,) the first leaf on each node's left and on its right, and (L,) LightGBM's numbers of the leaves from left to right."""
    children = list(zip(_numbers(lines, "left_child", np.int64).tolist(), _numbers(lines, "right_child", np.int64).tolist(), strict=True))
    leaves = [0] * nodes
    for node in reversed(range(nodes)):  # children come after their parent
        leaves[node] = sum(leaves[child] if child >= 0 else 1 for child in children[node])
    first, middle, order = [0] * nodes, [0] * nodes, [0] * (nodes + 1)
    for node, (left, right) in enumerate(children):
        middle[node] = first[node] + (leaves[left] if left >= 0 else 1)
        for child, start in ((left, first[node]), (right, middle[node])):
            if child >= 0:
                first[child] = start
            else:
                order[start] = -1 - child
    return np.array(first, np.int32), np.array(middle, np.int32), np.array(order, np.int64)


def _numbers(lines: dict[str, str], name: str, dtype: type[np.generic]) -> NDArray:
    return np.array(lines.get(name, "").split(), dtype)


def _joined(parts: Sequence[NDArray], dtype: type[np.generic]) -> NDArray:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)


def _starts(lengths: Sequence[int]) -> NDArray:
    return np.cumsum([0, *lengths], dtype=np.int64)
