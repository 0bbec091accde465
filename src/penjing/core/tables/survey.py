"""What stands in the columns of many rows: of which kind each is, its numbers or how often each word, and what is odd about it.
Knows rows and how values are read (`columns`); not what is made of them, nor what is said of it to the user.

A column is judged by rows from all over, and then read in one pass over all of them, some thousand at a time, so that rows may be lazily read.

Shapes: N rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from penjing.core.rows import ROW_ID
from penjing.core.tables.columns import LARGEST, Column, judge, missing, raw_numbers, word
from penjing.core.types import NDArray, Row

JUDGED = 20_000
"""Rows by which the kind of a column is judged; taken from all over, since files are often sorted."""
_BLOCKS = 25
CHUNK = 16_384


@dataclass(slots=True)
class Oddity:
    """Values that cannot be read as what their column is."""

    count: int = 0
    example: Any = None
    row: int = 0
    """Number of the row that holds the example, as it stood in the source."""


@dataclass(slots=True)
class Surveyed:
    """One column of N rows."""

    column: Column
    count: int
    """N."""
    numbers: NDArray = field(default_factory=lambda: np.zeros(0))
    """(N,) float64 as `columns.numbers` reads them, NaN where missing; empty where the column is not numeric."""
    words: Counter[str] = field(default_factory=Counter)
    """How many rows hold each word; empty where the column is numeric."""
    missing: int = 0
    """Rows without a value that can be read."""
    odd: Oddity = field(default_factory=Oddity)
    """Values that are no numbers, dates or booleans where all others are."""
    infinite: Oddity = field(default_factory=Oddity)

    @property
    def different(self) -> int:
        """Different values, without the missing ones."""
        if self.column.numeric:
            return len(np.unique(self.numbers[~np.isnan(self.numbers)]))
        return len(self.words)


def spread(rows: Sequence[Row], limit: int = JUDGED) -> list[Row]:
    """Return at most `limit` of `rows`: all of them, or blocks at even distances."""
    if len(rows) <= limit:
        return list(rows)
    size = limit // _BLOCKS
    starts = np.linspace(0, len(rows) - size, _BLOCKS).astype(int).tolist()
    return [row for start in starts for row in rows[start : start + size]]


def judged(rows: Sequence[Row], names: Sequence[str]) -> list[Column]:
    """Return how the columns `names` are read, judged by at most JUDGED of `rows`."""
    sample = spread(rows)
    return [judge([row.get(name) for row in sample], name) for name in names]


def survey(rows: Sequence[Row], names: Sequence[str]) -> list[Surveyed]:
    """Return what stands in the columns `names` of all `rows`. A row that lacks a column counts as missing there."""
    found = [Surveyed(column, len(rows)) for column in judged(rows, names)]
    for surveyed in found:
        if surveyed.column.numeric:
            surveyed.numbers = np.empty(len(rows))
    for start, chunk in _chunks(rows):
        for surveyed in found:
            values = [row.get(surveyed.column.name) for row in chunk]
            (_add_numbers if surveyed.column.numeric else _add_words)(surveyed, values, start, chunk)
    return found


def _chunks(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    for start in range(0, len(rows), CHUNK):
        yield start, rows[start : start + CHUNK]


def _add_numbers(surveyed: Surveyed, values: list[Any], start: int, chunk: Sequence[Row]) -> None:
    read = raw_numbers(surveyed.column, values)
    beyond = np.abs(read) > LARGEST
    _note(surveyed.infinite, np.flatnonzero(beyond).tolist(), values, start, chunk)
    odd = [i for i in np.flatnonzero(np.isnan(read)).tolist() if not missing(values[i])]
    _note(surveyed.odd, odd, values, start, chunk)
    read[beyond] = np.nan
    surveyed.missing += int(np.isnan(read).sum())
    surveyed.numbers[start : start + len(read)] = read


def _add_words(surveyed: Surveyed, values: list[Any], start: int, chunk: Sequence[Row]) -> None:
    if surveyed.column.kind == "file":
        return
    words = Counter(map(word, values))
    surveyed.missing += words.pop(None, 0)
    surveyed.words.update(words)  # type: ignore[arg-type]  # None is gone


def _note(oddity: Oddity, places: list[int], values: list[Any], start: int, chunk: Sequence[Row]) -> None:
    if places and not oddity.count:
        oddity.example = values[places[0]]
        oddity.row = int(chunk[places[0]].get(ROW_ID, start + places[0] + 1))
    oddity.count += len(places)
