"""The prepared data of a run: splits of rows as Parquet, and what was learnt about them. Reads; the prepare stage writes.

Layout: `train.parquet`, `validation.parquet`, `calibration.parquet`, `test.parquet`, `unlabelled.parquet` (the user's columns and
`penjing_row`), `data.json` (task, input columns, counts).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from penjing.core.files import read_json
from penjing.core.protocols import Task
from penjing.core.tier import unpacked
from penjing.core.types import Row

Split = Literal["train", "validation", "calibration", "test", "unlabelled"]
ROW_ID = "penjing_row"
"""Name of the column that numbers rows as they stood in the source, from 1; a name that no user's column has."""


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

    def chunks(self, split: Split, size: int = 4096) -> Iterator[list[Row]]:
        """Yield the rows of `split`, `size` at a time."""
        with pq.ParquetFile(self.folder / f"{split}.parquet") as file:
            for batch in file.iter_batches(size):
                yield batch.to_pylist()

    def rows(self, split: Split, limit: int | None = None) -> list[Row]:
        """Return the rows of `split`, the first `limit` of them."""
        rows: list[Row] = []
        for chunk in self.chunks(split):
            rows += chunk
            if limit is not None and len(rows) >= limit:
                return rows[:limit]
        return rows
