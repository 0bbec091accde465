"""The prepared data of a run: splits of rows as Parquet, and what was learnt about them. Reads; the prepare stage writes.

Layout: `train.parquet`, `validation.parquet`, `calibration.parquet`, `test.parquet`, `unlabelled.parquet` (the user's columns and
`penjing_row`), `data.json` (task, input columns, counts, what rows weigh).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import pyarrow.parquet as pq

from penjing.core.files import read_json
from penjing.core.protocols import Task
from penjing.core.tier import unpacked
from penjing.core.types import Row

Split = Literal["train", "validation", "calibration", "test", "unlabelled"]
CHUNK_BYTES = 64 << 20
MOST_ROWS = 4096
"""A chunk holds no more rows than this, nor many more bytes than that."""


class Rows(Sequence[Row]):
    """The rows of one Parquet file, read when they are asked for: iterating holds a chunk in memory, a slice the rows in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: tuple[int, list[Row]] = (-1, [])
        self._narrow: dict[str, list[Row]] = {}

    @cached_property
    def _starts(self) -> list[int]:
        """The number of the first row of each row group, and the number of all rows."""
        described = pq.read_metadata(self._path)
        starts = [0]
        for group in range(described.num_row_groups):
            starts.append(starts[-1] + described.row_group(group).num_rows)
        return starts

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[Row]:
        for chunk in self.chunks():
            yield from chunk

    @overload
    def __getitem__(self, where: int) -> Row: ...
    @overload
    def __getitem__(self, where: slice) -> list[Row]: ...
    def __getitem__(self, where: int | slice) -> Row | list[Row]:
        if isinstance(where, slice):
            return self._at(range(len(self))[where])
        return self._at(range(len(self))[where : where + 1 or None])[0]

    def chunks(self, size: int | None = None) -> Iterator[list[Row]]:
        """Yield all rows in their order, `size` at a time (as many as lie together in the file where not given)."""
        if not len(self):
            return
        with pq.ParquetFile(self._path) as file:
            if size is None:
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group).to_pylist()
            else:
                for batch in file.iter_batches(size):
                    yield batch.to_pylist()

    def only(self, column: str) -> list[Row]:
        """Return all rows with nothing in them but `column`, held in memory from then on: what they are judged by, again and again."""
        if column not in self._narrow:
            self._narrow[column] = pq.read_table(self._path, columns=[column]).to_pylist()
        return self._narrow[column]

    def _at(self, places: range) -> list[Row]:
        """Return the rows at `places`, which rise or fall; the row group read last is kept, since slices follow each other."""
        found: list[Row] = []
        for place in places:
            if not self._covers(place):
                group = next(g for g in range(len(self._starts) - 1) if place < self._starts[g + 1])
                with pq.ParquetFile(self._path) as file:
                    self._held = group, file.read_row_group(group).to_pylist()
            found.append(self._held[1][place - self._starts[self._held[0]]])
        return found

    def _covers(self, place: int) -> bool:
        group, _ = self._held
        return group >= 0 and self._starts[group] <= place < self._starts[group + 1]


def answers(rows: Sequence[Row], task: Task) -> Sequence[Row]:
    """Return `rows` as they are judged by: of those on the disk the target alone."""
    return rows.only(task.target) if isinstance(rows, Rows) else rows


@dataclass(frozen=True, slots=True)
class Snapshot:
    folder: Path
    task: Task
    columns: list[str]
    """Names of the input columns."""
    counts: dict[str, int]
    """Rows in each split."""

    @classmethod
    def open(cls, folder: Path) -> Snapshot:
        described: dict[str, Any] = read_json(folder / "data.json")
        return cls(folder, unpacked("tasks", described["task"]), described["columns"], described["counts"])

    def chunks(self, split: Split) -> Iterator[list[Row]]:
        """Yield the rows of `split`, as many at a time as memory is no matter for."""
        yield from self.rows(split).chunks()

    def rows(self, split: Split) -> Rows:
        """Return the rows of `split`, read from the disk when they are asked for."""
        return Rows(self.folder / f"{split}.parquet")
