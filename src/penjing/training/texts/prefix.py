"""What the lower, frozen layers of an encoder make of every token, computed once: epochs then go through the upper layers alone.

The states lie in one file that is mapped into memory, in the format of products, beside one that says which blocks of rows are done: a killed
run goes on from those, and several workers share them out. Where the disk has no room they are kept in memory, and where that has none either
they are computed afresh each time: slower, with the same result. States further up go on from those further down.

Shapes: N tokens of all texts, n of some, H hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from penjing.core.machine import Machine, free_disk_bytes
from penjing.core.types import NDArray, Ragged
from penjing.core.workers import ALONE, Workers
from penjing.training.batches import pieces
from penjing.training.devices import sent
from penjing.training.texts.features import TOKENS, named, own_first
from penjing.training.texts.packed import Packed

_BLOCK = 512
"""Rows after which what is done is noted."""
_SPARE = 1 << 30
"""Bytes that are left free."""
States = Callable[[NDArray], Any]
"""Numbers of texts → the states (n, H) of their tokens, computed."""

_STORED: dict[Any, Any] = {torch.bfloat16: np.dtype(np.int16), torch.float32: np.dtype(np.float32)}
"""numpy knows no bfloat16: its bits are kept as those of an integer."""


class Prefix(Protocol):
    """States of the tokens of texts, after the frozen layers."""

    def take(self, rows: NDArray) -> Any:
        """Return the states (n, H) of the texts at `rows`, one after the other, as a tensor that needs no gradient."""


class Kept:
    """States in an array, of the disk or of memory."""

    def __init__(self, values_NH: NDArray, ids: Ragged, way: Packed) -> None:
        self._texts, self._way = Ragged(values_NH, ids.offsets), way

    def take(self, rows: NDArray) -> Any:
        return sent(self._texts.take(rows).values, self._way.device).view(self._way.dtype)


class Afresh:
    """States that there is no room for."""

    def __init__(self, states: States) -> None:
        self.take = states


class Some:
    """The states of some of the texts, under numbers of their own."""

    def __init__(self, whole: Prefix, rows: NDArray) -> None:
        self._whole, self._rows = whole, rows

    def take(self, rows: NDArray) -> Any:
        return self._whole.take(self._rows[rows])


def prefix(
    way: Packed,
    ids: Ragged,
    depth: int,
    model: str,
    cache: Path,
    advance: Callable[[float], None],
    workers: Workers = ALONE,
    below: tuple[int, Prefix] | None = None,
) -> Prefix:
    """Return the states of all tokens of `ids` after the layer `depth` (0: what enters the first).

    model: a digest of the weights below; advance: told of rows as they are done; below: a lower depth, and the states there, to go on from.
    """

    def states(rows: NDArray) -> Any:
        with torch.no_grad():
            start, state_nH = (0, way.embedded(ids.take(rows))) if below is None else (below[0], below[1].take(rows))
            return way.through(state_nH, ids.lengths[rows], start, depth)

    cache.mkdir(parents=True, exist_ok=True)
    stored = _STORED[way.dtype]
    shape = (int(ids.offsets[-1]), way.hidden)
    needed = shape[0] * shape[1] * stored.itemsize
    path = cache / f"prefix-{named(ids, str(way.dtype), f'{model} states {depth}')}"
    if path.with_suffix(".done").exists() or needed + _SPARE < free_disk_bytes(cache):
        return Kept(_on_disk(ids, states, path, stored, shape, advance, workers), ids, way)
    if needed + _SPARE < Machine.here().memory_bytes:
        values_NH = np.empty(shape, stored)
        _fill(values_NH, np.zeros(_blocks(ids), np.uint8), ids, states, advance, ALONE)
        return Kept(values_NH, ids, way)
    advance(len(ids))
    return Afresh(states)


def _on_disk(
    ids: Ragged, states: States, path: Path, stored: Any, shape: tuple[int, int], advance: Callable[[float], None], workers: Workers
) -> NDArray:
    if not shape[0]:
        return np.zeros(shape, stored)
    values = path.with_suffix(".states")
    _fill(_mapped(values, stored, shape), _mapped(path.with_suffix(".done"), np.uint8, (_blocks(ids),)), ids, states, advance, workers)
    return np.memmap(values, stored, "r", shape=shape)


def _mapped(path: Path, dtype: Any, shape: tuple[int, ...]) -> NDArray:
    """Map a file into memory: as it is, or of zeros. Another worker may do the same at this moment."""
    with path.open("ab") as file:
        file.truncate(math.prod(shape) * np.dtype(dtype).itemsize)
    return np.memmap(path, dtype, "r+", shape=shape)


def _blocks(ids: Ragged) -> int:
    return -(-len(ids) // _BLOCK)


def _fill(values_NH: NDArray, done: NDArray, ids: Ragged, states: States, advance: Callable[[float], None], workers: Workers) -> None:
    """Compute the blocks that nobody has yet. done: (blocks,) uint8, 1 where one is whole."""
    starts, sizes = range(0, len(ids), _BLOCK), np.diff([*range(0, len(ids), _BLOCK), len(ids)])
    before = done.astype(bool)
    advance(int(sizes[before].sum()))
    for start in own_first([start for start in starts if not before[start // _BLOCK]], workers):
        end = min(start + _BLOCK, len(ids))
        if not done[start // _BLOCK]:
            block = Ragged(values_NH[ids.offsets[start] : ids.offsets[end]], ids.offsets[start : end + 1] - ids.offsets[start])
            for rows in pieces(block.lengths, TOKENS):
                state_nH = states(start + rows)
                block.values[block.places(rows)] = state_nH.view(torch.int16 if state_nH.dtype == torch.bfloat16 else torch.float32).cpu().numpy()
            if isinstance(values_NH, np.memmap):
                values_NH.flush()
            done[start // _BLOCK] = 1
        advance(end - start)
