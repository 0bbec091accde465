"""Many decision trees added up, in numpy alone. Knows nothing of what the columns or the answers mean, nor of how trees are grown.

A tree's leaves are numbered from left to right, and a bit stands for each. A node whose test fails clears the bits of the leaves on its left;
the lowest bit that is left is the leaf that a walk from the root would have ended in (QuickScorer, Lucchese et al. 2015, section 3). What all
nodes that ask one column clear depends only on where its value lies among their thresholds. So for a block of trees and each column the cleared
bits are worked out once for every such place, and a row takes one line of that table a column: no walk, and the same few steps for
one row and for thousands.

Answers are the same to the bit as those of the trees where they were grown: a threshold is compared with a float32 after it is rounded down to
one, which changes no comparison, and values of leaves are added in float64, one tree after the other.

Tests: a number is on the left where value <= threshold, or, when it is missing (NaN), where the node says so; a category is on the left where the
node's set holds its code. A code below 0 or unheard of is in no set.

Layout of a folder: `trees.safetensors` with the fields of `Trees`: its arrays, and the others as metadata.

Shapes: B rows, N numbers, K codes, F columns that some node asks, T trees, M nodes, L leaves of all trees, S sets, A answers that are sums of
trees, W width of the output (two classes: A = 1, W = 2), P places of all columns together, R lines of a block's table, V words of bits a tree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from penjing.core.errors import RunFailed
from penjing.core.files import written
from penjing.core.types import Batch, NDArray

_FILE = "trees.safetensors"
_ARRAYS = {
    "bias": "float64",
    "trees": "int64",
    "nodes": "int64",
    "feature": "int32",
    "threshold": "float64",
    "missing_left": "bool",
    "first": "int32",
    "middle": "int32",
    "leaves": "int64",
    "values": "float64",
    "sets": "int64",
    "bits": "uint32",
}
_NOTHING = np.float32(1e-35)
"""LightGBM reads a number up to here, below and above 0, as 0 (kZeroThreshold)."""
_AT_ONCE = 1 << 17
"""Words of bits that are worked on at a time: with more, they no longer stay close to the processor."""
_LOW = np.array([(1 << k) - 1 for k in range(65)], np.uint64)
"""The k lowest bits."""


@dataclass(frozen=True)
class Trees:
    """{"numbers", "codes"} → {output: (B, W) float32}."""

    bias: NDArray
    """(A,) float64, added to the sum of an answer's trees."""
    trees: NDArray
    """(A + 1,) int64: answer a is the sum of the trees from trees[a] to before trees[a + 1], in their order."""
    nodes: NDArray
    """(T + 1,) int64: where the nodes of each tree begin."""
    feature: NDArray
    """(M,) int32, the column that a node asks: a number below N, or N and the place of a code."""
    threshold: NDArray
    """(M,) float64; for a code, the place of its set."""
    missing_left: NDArray
    """(M,) bool."""
    first: NDArray
    """(M,) int32, the first leaf on the node's left, counted in its tree."""
    middle: NDArray
    """(M,) int32, the first leaf on its right."""
    leaves: NDArray
    """(T + 1,) int64: where the leaves of each tree begin."""
    values: NDArray
    """(L,) float64."""
    sets: NDArray
    """(S + 1,) int64: where the words of each set begin."""
    bits: NDArray
    """uint32 words: code c is in a set where bit c % 32 of its word c // 32 is 1."""
    output: str
    columns: tuple[int, int]
    """N and K."""
    pair: bool
    """Whether the output is (0, sum) for two classes, so that its softmax is the sum's sigmoid."""

    block: ClassVar[int] = 64
    """Trees of an answer that are worked out together."""

    @classmethod
    def open(cls, folder: Path) -> Trees:
        """Read the trees in `folder`. Raises RunFailed where it holds none."""
        path = folder / _FILE
        try:
            with safe_open(path, "numpy") as file:
                told = json.loads((file.metadata() or {})["trees"])
                arrays = {name: file.get_tensor(name) for name in _ARRAYS}
            made = cls(**arrays, output=told["output"], columns=(told["numbers"], told["codes"]), pair=told["pair"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise RunFailed(f"{path} cannot be read: {error}. Export the tier again.") from error
        if not made._fits():
            raise RunFailed(f"{path} holds no trees that can be asked: its arrays do not fit together. Export the tier again.")
        return made

    def save(self, folder: Path) -> None:
        """Write what `open` reads."""
        arrays = {name: np.ascontiguousarray(getattr(self, name), dtype) for name, dtype in _ARRAYS.items()}
        told = {"output": self.output, "numbers": self.columns[0], "codes": self.columns[1], "pair": self.pair}
        with written(folder / _FILE) as partial:
            save_file(arrays, partial, metadata={"trees": json.dumps(told)})  # of several keys, the order would differ from time to time

    def run(self, batch: Batch) -> Batch:
        sums_BA = np.zeros((len(cast(NDArray, batch["numbers"])), len(self.bias)))
        for answer, _, sum_B in self._sums(batch):
            sums_BA[:, answer] = sum_B
        return {self.output: self._output(sums_BA)}

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield each answer's sum (B,) float64 after every block of its trees, and the output."""
        sums_BA = np.zeros((len(cast(NDArray, batch["numbers"])), len(self.bias)))
        for answer, last, sum_B in self._sums(batch):
            sums_BA[:, answer] = sum_B
            yield self.step_name(answer, last), sum_B
        yield self.output, self._output(sums_BA)

    @staticmethod
    def step_name(answer: int, last: int) -> str:
        """Return the name of a step of `layers`: the learner that grows the trees calls its steps the same."""
        return f"answer {answer + 1}, the first {last} trees"

    def work(self, batch: Batch) -> float:
        """Return how many words of bits are looked up and put together."""
        return float(len(cast(NDArray, batch["numbers"])) * (1 + sum(block.words for block in self._blocks)))

    def _output(self, sums_BA: NDArray) -> NDArray:
        logits: NDArray = (sums_BA + self.bias).astype(np.float32)
        return np.concatenate([np.zeros_like(logits), logits], axis=1) if self.pair else logits

    def _sums(self, batch: Batch) -> Iterator[tuple[int, int, NDArray]]:
        """Yield an answer, how many of its trees have been added up, and their sum (B,) float64: block by block."""
        places_BF = self._places(cast(NDArray, batch["numbers"]), cast(NDArray, batch["codes"]))
        sum_B = np.zeros(len(places_BF))
        for block in self._blocks:
            if block.last <= self.block:
                sum_B = np.zeros(len(places_BF))
            rows = max(1, _AT_ONCE // max(block.words, 1))
            sum_B = np.concatenate([block.add(places_BF[i : i + rows], sum_B[i : i + rows], self.values) for i in range(0, max(len(sum_B), 1), rows)])
            yield block.answer, block.last, sum_B

    def _places(self, numbers_BN: NDArray, codes_BK: NDArray) -> NDArray:
        """Return (B, F) int64: where among the places of all columns each value lies."""
        values_BN = np.where(np.abs(numbers_BN) <= _NOTHING, np.float32(0), numbers_BN)
        missing_BN = np.isnan(values_BN)
        known_BK = codes_BK.astype(np.uint32)  # so that codes below 0 are large ones
        places_BF = np.empty((len(numbers_BN), len(self._asked)), np.int64)
        for i, (feature, asked) in enumerate(self._asked.items()):
            if feature < self.columns[0]:
                # What is missing is sorted behind all numbers.
                places_BF[:, i] = np.searchsorted(asked.thresholds, values_BN[:, feature]) + missing_BN[:, feature]
            else:
                places_BF[:, i] = np.minimum(known_BK[:, feature - self.columns[0]], np.uint32(asked.places - 1))
            places_BF[:, i] += asked.start
        return places_BF

    @cached_property
    def _asked(self) -> dict[int, _Asked]:
        """The columns that nodes ask, by number, rising."""
        found, start = {}, 0
        for feature in np.unique(self.feature).tolist():
            thresholds = self.threshold[self.feature == feature]
            if feature < self.columns[0]:
                asked = _Asked(start, np.unique(_rounded_down(thresholds)), 0)
                asked = _Asked(start, asked.thresholds, len(asked.thresholds) + 2)
            else:
                words = np.diff(self.sets)[thresholds.astype(np.int64)].max()
                asked = _Asked(start, np.zeros(0, np.float32), 32 * int(words) + 1)
            found[feature] = asked
            start += asked.places
        return found

    @cached_property
    def _blocks(self) -> list[_Block]:
        return [
            _block(self, answer, first, min(first + self.block, int(end)))
            for answer, (begin, end) in enumerate(zip(self.trees[:-1], self.trees[1:], strict=True))
            for first in range(int(begin), int(end), self.block)
        ]

    def _fits(self) -> bool:
        """Return whether the arrays hang together, so that every row finds its leaf."""
        shapes = [(self.trees, len(self.bias), len(self.nodes) - 1), (self.nodes, len(self.leaves) - 1, len(self.feature))]
        shapes += [(self.leaves, len(self.nodes) - 1, len(self.values)), (self.sets, len(self.sets) - 1, len(self.bits))]
        parts = (self.feature, self.threshold, self.missing_left, self.first, self.middle)
        if not all(_partition(*shape) for shape in shapes) or len({part.shape for part in parts}) > 1:
            return False
        room = np.repeat(np.diff(self.leaves), np.diff(self.nodes))
        sets = self.threshold[self.feature >= self.columns[0]]
        return bool(
            (np.diff(self.leaves) == np.diff(self.nodes) + 1).all()
            and ((self.first >= 0) & (self.first < self.middle) & (self.middle < room)).all()
            and ((self.feature >= 0) & (self.feature < sum(self.columns))).all()
            and ((sets >= 0) & (sets < len(self.sets) - 1)).all()
            and not np.isnan(self.threshold).any()
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A column that some node asks."""

    start: int
    """Its first place."""
    thresholds: NDArray
    """Float32, rising, of a number; its places are: up to the first, ..., above the last, missing."""
    places: int
    """Of a code: one each, and one for all others."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Some trees of an answer."""

    answer: int
    last: int
    """How many trees of the answer there are up to its end."""
    columns: NDArray
    """(F of the block,) int64, which columns its nodes ask."""
    line: NDArray
    """(P,) int64, the line of the table that a place reads."""
    table: NDArray
    """(R, trees * V) unsigned: the leaves that a place leaves open."""
    base: NDArray
    """(trees,) int64, where the leaves of each tree begin, less one."""

    @property
    def words(self) -> int:
        """Words that a row looks up."""
        return int(max(len(self.columns), 1) * self.table.shape[1])

    def add(self, places_BF: NDArray, sum_B: NDArray, values: NDArray) -> NDArray:
        """Return (B,) float64: `sum_B` with the trees' values added, one after the other."""
        lines_BF = self.line.take(places_BF.take(self.columns, axis=1))
        open_BTV = np.bitwise_and.reduce(self.table.take(lines_BF, axis=0), axis=1).reshape(
            len(sum_B), len(self.base), self.table.shape[1] // len(self.base)
        )
        values_BT = values.take(_lowest(open_BTV) + self.base)
        values_BT[:, 0] += sum_B
        sums_BT: NDArray = np.add.accumulate(values_BT, axis=1)
        return sums_BT[:, -1]


def _lowest(open_BTV: NDArray) -> NDArray:
    """Return (B, T): the number of the lowest bit that is 1, counted from 1."""
    if open_BTV.shape[2] == 1:
        return _trailing(open_BTV[:, :, 0])
    which_BT1 = (open_BTV != 0).argmax(axis=2, keepdims=True)
    lowest_BT1 = 64 * which_BT1 + _trailing(np.take_along_axis(open_BTV, which_BT1, axis=2))
    lowest_BT: NDArray = lowest_BT1[:, :, 0]
    return lowest_BT


def _trailing(words: NDArray) -> NDArray:
    """Return uint8: the lowest bit of each word that is 1, counted from 1."""
    lowest: NDArray = np.bitwise_count(words ^ (words - words.dtype.type(1)))
    return lowest


def _block(trees: Trees, answer: int, first: int, end: int) -> _Block:
    """Work out the table of the trees from `first` to before `end`."""
    most = int(np.diff(trees.leaves).max(initial=1))
    dtype, words = (np.dtype(np.uint32), 1) if most <= 32 else (np.dtype(np.uint64), -(-most // 64))
    here = slice(int(trees.nodes[first]), int(trees.nodes[end]))
    tree_M = np.repeat(np.arange(end - first), np.diff(trees.nodes[first : end + 1]))
    kept_MV = np.invert(_left_bits(trees.first[here], trees.middle[here], words).astype(dtype))
    line = np.zeros(sum(asked.places for asked in trees._asked.values()), np.int64)
    tables, columns, lines = [np.zeros((0, (end - first) * words), dtype)], [], 0
    for i, (feature, asked) in enumerate(trees._asked.items()):
        own = np.flatnonzero(trees.feature[here] == feature)
        if not len(own):
            continue
        fails = _number_fails if feature < trees.columns[0] else _code_fails
        line_of, fails_RM = fails(trees, asked, own + here.start)
        table = np.full((len(fails_RM), end - first, words), ~dtype.type(0), dtype)
        at_R, at_M = np.nonzero(fails_RM)
        np.bitwise_and.at(table, (at_R, tree_M[own][at_M]), kept_MV[own][at_M])
        if feature < trees.columns[0]:  # what fails at a number fails at all larger ones, but not where it is missing
            np.bitwise_and.accumulate(table[:-1], axis=0, out=table[:-1])
        line[asked.start : asked.start + asked.places] = line_of + lines
        tables.append(table.reshape(len(table), -1))
        columns.append(i)
        lines += len(table)
    return _Block(answer, end - int(trees.trees[answer]), np.array(columns, np.int64), line, np.concatenate(tables), trees.leaves[first:end] - 1)


def _number_fails(trees: Trees, asked: _Asked, nodes: NDArray) -> tuple[NDArray, NDArray]:
    """Return which line each place reads, and (R, M) which of the `nodes` fail there first, or in the last line, of the missing, at all.

    Only their own thresholds tell lines apart.
    """
    threshold_M = np.searchsorted(asked.thresholds, _rounded_down(trees.threshold[nodes]))
    own = np.unique(threshold_M)
    line_of = np.append(np.searchsorted(own, np.arange(asked.places - 1)), len(own) + 1)
    above_RM = np.searchsorted(own, threshold_M) + 1 == np.arange(len(own) + 1)[:, None]
    return line_of, np.concatenate([above_RM, ~trees.missing_left[None, nodes]])


def _code_fails(trees: Trees, asked: _Asked, nodes: NDArray) -> tuple[NDArray, NDArray]:
    """Return which line each place reads, and (R, M) which of the `nodes` fail there."""
    place = np.arange(asked.places)
    fails_RM = np.ones((len(place), len(nodes)), np.bool_)
    for i, which in enumerate(trees.threshold[nodes].astype(np.int64)):
        words = trees.bits[trees.sets[which] : trees.sets[which + 1]]
        fails_RM[: 32 * len(words), i] = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little") == 0
    return place, fails_RM


def _left_bits(first_M: NDArray, middle_M: NDArray, words: int) -> NDArray:
    """Return (M, V) uint64: the bits of the leaves from first to before middle."""
    begins_V = 64 * np.arange(words)
    low_MV, high_MV = (np.clip(leaf_M[:, None] - begins_V, 0, 64) for leaf_M in (first_M, middle_M))
    bits: NDArray = _LOW[high_MV] ^ _LOW[low_MV]
    return bits


def _rounded_down(thresholds: NDArray) -> NDArray:
    """Return float32: the largest that is no larger than each threshold."""
    with np.errstate(over="ignore"):
        near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


def _partition(starts: NDArray, parts: int, whole: int) -> bool:
    """Return whether `starts` cuts 0..whole into so many parts, one after the other."""
    return starts.shape == (parts + 1,) and starts[0] == 0 and starts[-1] == whole and bool((np.diff(starts) >= 0).all())
