"""Turns examples into what the descent reads: sparse rows over the entries of an engine's tables. Knows nothing of how values are found.

Shapes: n rows, B rows of a block, E entries, V numbers a row (see the additive engine).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from penjing.core.examples import Examples
from penjing.core.types import Batch, Link, NDArray, Spec
from penjing.plugins.learners.tabular_linear.descent import Block, Shape

STEP = 0.3
"""Weight of a step from knot to knot in L2, that of a code being 1. Of 0.03 to 4, those from 0.1 to 1 gave the least held-out loss on Adult."""
_BLOCK = 16384


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the examples."""

    examples: Examples
    indices: NDArray
    """(n,) int64."""

    def __len__(self) -> int:
        return len(self.indices)


def link_of(spec: Spec) -> Link:
    """Return the link of the V numbers: of two classes one score is learnt."""
    return "sigmoid" if spec == Spec(2, "softmax") else spec.link


def chunks(part: Part) -> Iterator[Part]:
    """Yield `part` in pieces of a block each."""
    for start in range(0, len(part), _BLOCK):
        yield Part(part.examples, part.indices[start : start + _BLOCK])


def blocks_of(engine: Any, part: Part, spec: Spec) -> list[Block]:
    """Return the rows of `part` as the tables of `engine` see them."""
    blocks = []
    for piece in chunks(part):
        batch, target = piece.examples.batch(piece.indices)
        blocks.append(Block(_rows(engine, batch), targets(target, spec), piece.examples.weights(piece.indices)[:, None]))
    return blocks


def values_a_row(engine: Any) -> int:
    """Return how many values a row has in a block."""
    return 2 * len(engine.counts) + len(engine.sizes) + len(engine.pairs)


def shape_of(engine: Any, signs: Sequence[int], pull: float) -> Shape:
    """Return how the entries of `engine` are learnt.

    signs: for each number column 1 where it must not fall, -1 where it must not rise, else 0.
    pull: weight of a pair's value in L2, that of a code being 1.
    """
    entries = int(engine.lengths.sum())
    steps, knots, sign = np.zeros((entries, 1)), np.zeros((entries, 1), np.bool_), np.zeros(entries, np.int8)
    middle, anchor, penalty = np.arange(entries), np.arange(entries), np.ones((entries, 1))
    for start, count, towards in zip(engine.starts, engine.counts, signs, strict=False):
        first, end = start + 1, start + 1 + count
        half = first + count // 2
        knots[first:end], steps[first + 1 : end], penalty[first:end] = True, 1, STEP
        middle[first:end], anchor[first : half + 1], anchor[half + 1 : end] = half, first, end
        sign[first + 1 : end] = towards
    if len(engine.pairs):
        penalty[engine.starts[len(engine.counts) + len(engine.sizes)] :] = pull
    return Shape(steps, knots, middle, anchor, sign, penalty)


def targets(target: NDArray, spec: Spec) -> NDArray:
    """Return (B, V) float32 of classes (B,), shares (B, C) or values (B, C). Of two classes the share of the second is left."""
    if target.ndim == 1 and spec.link == "softmax":
        target = np.eye(spec.width, dtype=np.float32)[target]
    if spec == Spec(2, "softmax"):
        target = target[:, 1:] / np.maximum(target.sum(axis=1, keepdims=True), 1e-12)
    return np.asarray(target, np.float32)


def _rows(engine: Any, batch: Batch) -> csr_array:
    """Return (B, E) float32: how much each entry counts for each row."""
    found = engine.find(batch)
    numbers, entries = found.parts.shape[1], np.ascontiguousarray(found.entries)
    columns = np.hstack([entries, entries[:, :numbers] + 1])
    values = np.hstack([1 - found.parts, np.ones((len(entries), entries.shape[1] - numbers), np.float32), found.parts])
    ends = np.arange(len(entries) + 1, dtype=np.int32) * np.int32(columns.shape[1])
    return csr_array((values.ravel(), columns.ravel(), ends), shape=(len(entries), int(engine.lengths.sum())))
