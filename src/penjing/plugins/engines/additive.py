"""A sum of functions of one column each, and of a few pairs of columns, looked up in tables; in numpy. Knows nothing of what columns or answers mean.

A number column has a piecewise linear function: values at rising knots, straight lines between them, level beyond them, and a value of its own
for what is missing. A code column has a value for each code, and that of code 1 (other) for codes that the model does not have. A pair has a
value for each two levels: a level is a run of neighbouring knots, or a code.

Entries of the tables are numbered through: for each number column missing, then its knots; then for each code column its codes; then for each
pair its levels, row by row. A width of 2 may be kept as one score, of which the second answer gets half and the first the negative half.

A row's answer does not depend on the rows beside it: every sum runs over the columns in their order. Where a column's values at its knots do
not fall, neither does the answer as the number rises, to the last bit: rounding keeps order, and no line leaves the values at its ends.

Layout of a folder: `additive.safetensors` with knots and counts (N,), sizes (K,), levels (one for each entry that is no pair's), pairs (P, 2),
values (E, V), bias (V,) and, as metadata, `answers`: the output's name and its width, in one entry, since entries are written in any order.
Arrays are mapped into memory, so that processes that serve the same package share them.

Shapes: B rows, N number columns, K code columns, P pairs, E entries, C numbers a row, V = C, or 1 where one score is kept for C = 2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from penjing.core.errors import RunFailed
from penjing.core.files import written
from penjing.core.graphs.tensors import mapped
from penjing.core.types import Batch, NDArray, size

_FILE = "additive.safetensors"
_TYPES = {"knots": "F32", "counts": "I32", "sizes": "I32", "levels": "I32", "pairs": "I32", "values": "F32", "bias": "F32"}
_CHUNK = 4096
"""Rows that are summed at a time: what they need stays in the cache."""
_MOST = np.float32(1e38)
"""Numbers are cut off here, so that no difference of two is infinite."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where B rows stand in the tables."""

    entries: NDArray
    """(B, N + K + P) int32: for a number the knot at or below it."""
    parts: NDArray
    """(B, N) float32, from 0 to 1: how far a number is on its way from its knot to the next."""


@dataclass(frozen=True)
class Additive:
    """{"numbers", "codes"} → {output: (B, C) float32}."""

    knots: NDArray
    """float32, those of all number columns, two or more each, rising strictly within a column."""
    counts: NDArray
    """(N,) int32 number of knots of each number column."""
    sizes: NDArray
    """(K,) int32 number of codes of each code column, two or more."""
    levels: NDArray
    """int32 level of each entry that is no pair's."""
    pairs: NDArray
    """(P, 2) int32 numbers of columns, those of numbers before those of codes."""
    values: NDArray
    """(E, V) float32."""
    bias: NDArray
    """(V,) float32."""
    output: str
    width: int
    """C."""

    @classmethod
    def open(cls, folder: Path) -> Additive:
        """Map the model in `folder` into memory. Raises RunFailed where it holds none."""
        path = folder / _FILE
        arrays, metadata = mapped(path, _TYPES)
        try:
            output, width = json.loads(metadata["answers"])
            model = cls(**{name: arrays[name] for name in _TYPES}, output=str(output), width=int(width))
        except (KeyError, ValueError, TypeError) as error:
            raise RunFailed(f"{path} is not an additive model: {error} is missing or wrong. Export the tier again.") from error
        if not _fits(model):
            raise RunFailed(f"{path} is not an additive model: its arrays do not fit together. Export the tier again.")
        return model

    def save(self, folder: Path) -> None:
        """Write what `open` reads."""
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _TYPES}
        with written(folder / _FILE) as partial:
            save_file(arrays, partial, metadata={"answers": json.dumps([self.output, self.width])})

    def run(self, batch: Batch) -> Batch:
        return {self.output: self._answers(self._summed(batch, self.starts.size))}

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield where rows stand in the tables, how far numbers are from their knots, the sums of single columns, and the answers."""
        found = self.find(batch)
        yield "entries", found.entries
        yield "parts", found.parts
        yield "sums of columns", self._summed(batch, len(self.counts) + len(self.sizes))
        yield self.output, self._answers(self._summed(batch, self.starts.size))

    def work(self, batch: Batch) -> float:
        return float(size(batch) * (2 * len(self.counts) + len(self.sizes) + len(self.pairs)) * len(self.bias))

    def find(self, batch: Batch) -> Found:
        """Return where the rows of `batch` stand in the tables."""
        numbers, codes = np.asarray(batch["numbers"]), np.asarray(batch["codes"])
        columns = len(self.counts) + len(self.sizes)
        entries = np.empty((len(numbers), columns + len(self.pairs)), np.int32, order="F")
        parts = np.empty((len(numbers), len(self.counts)), np.float32, order="F")
        ends = np.cumsum(self.counts)
        for i, (end, count) in enumerate(zip(ends, self.counts, strict=True)):
            entries[:, i], parts[:, i] = _between(numbers[:, i], self.knots[end - count : end])
        for i, known in enumerate(self.sizes):
            entries[:, len(self.counts) + i] = np.where((codes[:, i] < known) & (codes[:, i] >= 0), codes[:, i], 1)
        entries[:, :columns] += self.starts[:columns]
        for i, (a, b) in enumerate(self.pairs):
            entries[:, columns + i] = self.starts[columns + i] + self.levels[entries[:, a]] * self.heights[b] + self.levels[entries[:, b]]
        return Found(entries, parts)

    @cached_property
    def heights(self) -> NDArray:
        """(N + K,) int32 number of levels of each column."""
        bounds = np.concatenate([[0], np.cumsum(np.concatenate([self.counts + 1, self.sizes]))])
        return np.array([self.levels[a:b].max() + 1 for a, b in pairwise(bounds)], np.int32)

    @cached_property
    def lengths(self) -> NDArray:
        """(N + K + P,) int64 number of entries of each column and pair."""
        pairs = [int(self.heights[a]) * int(self.heights[b]) for a, b in self.pairs]
        return np.concatenate([self.counts + 1, self.sizes, pairs]).astype(np.int64)

    @cached_property
    def starts(self) -> NDArray:
        """(N + K + P,) int32 first entry of each column and pair."""
        return (np.cumsum(self.lengths) - self.lengths).astype(np.int32)

    def _summed(self, batch: Batch, tables: int) -> NDArray:
        """Return (B, V) float32: the bias and the first `tables` columns and pairs, added in their order."""
        sums = np.empty((size(batch), len(self.bias)), np.float32)
        for start in range(0, len(sums), _CHUNK):
            part: Batch = {name: np.asarray(batch[name])[start : start + _CHUNK] for name in ("numbers", "codes")}
            self._add(self.find(part), sums[start : start + _CHUNK], tables)
        return sums

    def _add(self, found: Found, sums_BV: NDArray, tables: int) -> None:
        sums_BV[:] = self.bias
        for i in range(tables):
            value_BV = self.values.take(found.entries[:, i], axis=0)
            if i < len(self.counts):
                next_BV = self.values.take(found.entries[:, i] + 1, axis=0)
                line_BV = value_BV + found.parts[:, i, None] * (next_BV - value_BV)
                value_BV = np.clip(line_BV, np.minimum(value_BV, next_BV), np.maximum(value_BV, next_BV))
            sums_BV += value_BV

    def _answers(self, sums_BV: NDArray) -> NDArray:
        return sums_BV if len(self.bias) == self.width else np.hstack([-sums_BV / 2, sums_BV / 2])


def _between(numbers_B: NDArray, knots: NDArray) -> tuple[NDArray, NDArray]:
    """Return (B,) int64 entries of one column (0 for missing) and (B,) float32 parts of the way to the next knot."""
    numbers_B = np.clip(numbers_B, max(knots[0], -_MOST), min(knots[-1], _MOST))
    missing = np.isnan(numbers_B)
    below = np.searchsorted(knots[1:-1], numbers_B, side="right")
    parts = (numbers_B - knots[below]) / (knots[below + 1] - knots[below])
    parts[missing] = 0
    return np.where(missing, 0, below + 1), parts


def _fits(model: Additive) -> bool:
    """Return whether every look-up of every batch stays within the arrays."""
    columns = len(model.counts) + len(model.sizes)
    if model.counts.min(initial=2) < 2 or model.sizes.min(initial=2) < 2 or len(model.knots) != model.counts.sum():
        return False
    if len(model.levels) != len(model.knots) + len(model.counts) + model.sizes.sum():
        return False
    if model.levels.min(initial=0) < 0 or model.levels.max(initial=-1) >= len(model.levels):
        return False
    if model.pairs.ndim != 2 or model.pairs.shape[1] != 2 or model.pairs.min(initial=0) < 0 or model.pairs.max(initial=-1) >= columns:
        return False
    inner = np.delete(np.diff(model.knots), np.cumsum(model.counts)[:-1] - 1) if len(model.knots) else model.knots
    if not np.isfinite(model.knots).all() or not (inner > 0).all() or np.abs(model.knots).max(initial=0) > _MOST:
        return False
    return (
        model.width > 0 and model.bias.shape == (model.width - (model.width == 2),) and model.values.shape == (model.lengths.sum(), len(model.bias))
    )
