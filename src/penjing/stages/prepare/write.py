"""Writes the snapshot: rows as Parquet, some at a time, with what files hold in place of their names; what was found out as `data.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penjing.core.files import write_json
from penjing.core.protocols import Task
from penjing.core.rows import ROW_ID, content
from penjing.core.snapshot import CHUNK_BYTES, MOST_ROWS
from penjing.core.tier import packed
from penjing.core.types import Row

_LOOKED_AT = 50
"""Rows by whose size it is decided how many are written together."""


def write(
    folder: Path, task: Task, columns: Sequence[str], divided: Mapping[str, Sequence[Row]], dropped: Sequence[Mapping[str, Any]], says: Sequence[str]
) -> None:
    """Write the splits, the rows that were dropped with their reasons, and `data.json`. says: what is strange about the data, in sentences."""
    names = list(dict.fromkeys(name for rows in divided.values() for row in rows for name in row))
    for split, rows in divided.items():
        _write_rows(folder / f"{split}.parquet", rows, names)
    schema = pa.schema([(ROW_ID, pa.int64()), ("reason", pa.string())])
    pq.write_table(pa.Table.from_pylist(list(dropped), schema), folder / "dropped.parquet", compression="zstd")
    write_json(
        folder / "data.json",
        {
            "task": packed("tasks", task),
            "columns": list(columns),
            "counts": {split: len(rows) for split, rows in divided.items()},
            "dropped": dict(Counter(d["reason"] for d in dropped)),
            "warnings": list(says),
        },
    )


def _write_rows(path: Path, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Write `rows` in groups of a bounded size: a reader holds one of them in memory."""
    files = [name for name in names if any(isinstance(row.get(name), Path) for row in rows)]
    plain = {name: _array([row.get(name) for row in rows]) for name in names if name not in files}
    schema = pa.schema([(name, pa.binary() if name in files else plain[name].type) for name in names])
    size = _rows_together(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            read = {name: pa.array([content(row.get(name)) for row in part], pa.binary()) for name in files}
            arrays = [read[name] if name in read else plain[name].slice(start, size) for name in names]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=size)


def _rows_together(rows: Sequence[Row]) -> int:
    sample = rows[:: max(1, len(rows) // _LOOKED_AT)]
    mean = sum(_size(value) for row in sample for value in row.values()) / max(1, len(sample))
    return max(1, min(MOST_ROWS, int(CHUNK_BYTES / max(1.0, mean))))


def _size(value: Any) -> int:
    if isinstance(value, Path):
        return value.stat().st_size if value.exists() else 0
    return len(value) if isinstance(value, str | bytes) else 8


def _array(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a column of several types is kept as the text that it shows
        return pa.array([None if v is None else str(v) for v in values])
