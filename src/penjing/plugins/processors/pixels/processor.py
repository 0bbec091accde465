"""Images → squares of pixels, the same bytes in training and serving. Learns nothing, and knows nothing of what the pixels are used for.

A row holds an image as bytes, or as the Path of a file that is still to be read; never as text, so that no client can name a file of the server.

Shapes: B rows, S the side of the square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from penjing.core.errors import DataError
from penjing.core.machine import Machine
from penjing.core.pictures import shown
from penjing.core.rows import ROW_ID
from penjing.core.types import Batch, NDArray, Row
from penjing.plugins.processors.pixels import decoding
from penjing.plugins.processors.pixels.decoding import Look

_SIZE = 64
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Pixels:
    inputs: ClassVar[str] = "image"

    columns: list[str]
    """Name of the input column, alone."""
    size: int = _SIZE
    """Pixels along each side of what the model sees."""
    fit: str = "crop"
    """How an image becomes a square: its middle ("crop"), the whole of it out of shape ("stretch"), or the whole with black bars ("pad")."""

    @classmethod
    def options_from(cls, rows: Sequence[Row], columns: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields, from `given`: "size" and "fit". Learns nothing from `rows`. Raises DataError where there is not just one column."""
        if len(columns) != 1:
            raise DataError(f"One column of images is read, and {len(columns)} are named ({', '.join(columns)}). Choose one with --column NAME.")
        return {"columns": list(columns), "size": given.get("size") or _SIZE, "fit": given.get("fit") or "crop"}

    def encode(self, rows: Sequence[Row]) -> Batch:
        """Return {"pixels": (B, S, S, 3) uint8 RGB}. Raises DataError that names the file or the row of an image that cannot be read."""
        pixels_BSS3 = np.empty((len(rows), self.size, self.size, 3), np.uint8)

        def decode(i: int) -> None:
            pixels_BSS3[i] = self._pixels(rows[i], i)

        at_once(decode, range(len(rows)))
        return {"pixels": pixels_BSS3}

    def _pixels(self, row: Row, place: int) -> NDArray:
        (column,) = self.columns
        try:
            return decoding.pixels(row.get(column), self.size, self.fit)
        except decoding.Unreadable as error:
            raise DataError(
                f"{_named(row, column, place)} cannot be read as an image: {error}. Replace it; in training, the cleaner 'unreadable' drops it."
            ) from error

    @staticmethod
    def why_unreadable(value: Any) -> str | None:
        """Return why `value`, bytes or Path, cannot be read as an image, as the end of a sentence; None where it can be."""
        try:
            decoding.pixels(value, 32, "stretch")
        except decoding.Unreadable as error:
            return str(error)
        return None

    @staticmethod
    def all_unreadable(values: Iterable[Any]) -> list[str | None]:
        """Return what `why_unreadable` says of each value, asked of several at once."""
        return at_once(Pixels.why_unreadable, values)

    @staticmethod
    def looks(values: Iterable[Any]) -> list[Look | None]:
        """Return what is remarkable about each image; None of one that cannot be read."""
        return at_once(_look, values)


def at_once(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return what `function` makes of each item, in as many threads as there are cores: decoders let others work meanwhile."""
    listed = list(items)
    workers = min(Machine.here().cores, len(listed)) if len(listed) > 1 else 1
    if workers == 1:
        return [function(item) for item in listed]
    found: list[Any] = [None] * len(listed)

    def every(start: int) -> None:
        for i in range(start, len(listed), workers):
            found[i] = function(listed[i])

    # A thread takes its whole share at once: handing over one small image after another takes longer than decoding it.
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(every, range(workers)))
    return found


def _look(value: Any) -> Look | None:
    try:
        return decoding.look(value)
    except decoding.Unreadable:
        return None


def _named(row: Row, column: str, place: int) -> str:
    """Return how a user finds the image of `row`, which stands at `place` (from 0) among those given."""

    if isinstance(value := row.get(column), Path):
        return shown(str(value))
    number = f"row {row[ROW_ID]}" if ROW_ID in row else f"row {place + 1}"
    return f"{number}, {row['file']}," if isinstance(row.get("file"), str) else f"{number}, column {column!r},"
