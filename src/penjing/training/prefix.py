"""What the lower, frozen layers of an encoder make of every token, computed once: epochs then go through the upper layers alone.

The states lie in one file that is mapped into memory, in the format of products, and a killed run goes on from the rows it has. Where the
disk has no room they are kept in memory, and where that has none either they are computed afresh each time: slower, with the same result.

Shapes: N tokens of all texts, n of some, H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from penjing.core.files import written
from penjing.core.machine import Machine, free_disk_bytes
from penjing.core.types import NDArray, Ragged
from penjing.training.batches import pieces
from penjing.training.features import TOKENS, named
from penjing.training.packed import Packed

_BLOCK = 512
"""Rows after which what is done is noted."""
_SPARE = 1 << 30
"""Bytes that are left free."""
_STORED: dict[Any, Any] = {torch.bfloat16: np.dtype(np.int16), torch.float32: np.dtype(np.float32)}
"""numpy knows no bfloat16: its bits are kept as those of an integer."""


class Prefix(Protocol):
    """States of the tokens of texts, after the frozen layers."""

    def take(self, rows: NDArray) -> Any:
        """Return the states (n, H) of the texts at `rows`, one after the other, as a tensor that needs no gradient."""


class Kept:
    """States in an array, of the disk or of memory."""

    def __init__(self, values_NH: NDArray, ids: Ragged, dtype: Any) -> None:
        self._texts, self._dtype = Ragged(values_NH, ids.offsets), dtype

    def take(self, rows: NDArray) -> Any:
        return torch.from_numpy(np.ascontiguousarray(self._texts.take(rows).values)).view(self._dtype)


class Afresh:
    """States that there is no room for."""

    def __init__(self, way: Packed, ids: Ragged, depth: int) -> None:
        self._way, self._ids, self._depth = way, ids, depth

    def take(self, rows: NDArray) -> Any:
        return _states(self._way, self._ids.take(rows), self._depth)


def prefix(way: Packed, ids: Ragged, depth: int, model: str, cache: Path, advance: Callable[[float], None]) -> Prefix:
    """Return the states of all tokens of `ids` after the layer `depth` (0: what enters the first).

    model: a digest of the weights below; advance: told of rows as they are done.
    """
    cache.mkdir(parents=True, exist_ok=True)
    stored = _STORED[way.dtype]
    shape = (int(ids.offsets[-1]), way.hidden)
    needed = shape[0] * shape[1] * stored.itemsize
    path = cache / f"prefix-{named(ids, str(way.dtype), f'{model} states {depth}')}"
    if path.with_suffix(".rows").exists() or needed + _SPARE < free_disk_bytes(cache):
        return Kept(_on_disk(way, ids, depth, path, stored, shape, advance), ids, way.dtype)
    if needed + _SPARE < Machine.here().memory_bytes:
        values_NH = np.empty(shape, stored)
        _fill(values_NH, way, ids, depth, 0, advance, lambda rows: None)
        return Kept(values_NH, ids, way.dtype)
    advance(len(ids))
    return Afresh(way, ids, depth)


def _on_disk(way: Packed, ids: Ragged, depth: int, path: Path, stored: Any, shape: tuple[int, int], advance: Callable[[float], None]) -> NDArray:
    values, told = path.with_suffix(".states"), path.with_suffix(".rows")
    done = int(told.read_text()) if told.exists() and values.exists() else 0
    if not shape[0]:
        return np.zeros(shape, stored)
    if done < len(ids):
        mapped = np.memmap(values, stored, "r+" if done else "w+", shape=shape)

        def note(rows: int) -> None:
            mapped.flush()
            with written(told) as partial:
                partial.write_text(str(rows))

        advance(done)
        _fill(mapped, way, ids, depth, done, advance, note)
    else:
        advance(done)
    return np.memmap(values, stored, "r", shape=shape)


def _fill(values_NH: NDArray, way: Packed, ids: Ragged, depth: int, done: int, advance: Callable[[float], None], note: Callable[[int], None]) -> None:
    for start in range(done, len(ids), _BLOCK):
        end = min(start + _BLOCK, len(ids))
        block = Ragged(values_NH[ids.offsets[start] : ids.offsets[end]], ids.offsets[start : end + 1] - ids.offsets[start])
        for rows in pieces(block.lengths, TOKENS):
            state_nH = _states(way, ids.take(start + rows), depth)
            block.values[block.places(rows)] = state_nH.view(torch.int16 if state_nH.dtype == torch.bfloat16 else torch.float32).numpy()
        note(end)
        advance(end - start)


def _states(way: Packed, ids: Ragged, depth: int) -> Any:
    with torch.no_grad():
        return way.through(way.embedded(ids), ids.lengths, 0, depth)
