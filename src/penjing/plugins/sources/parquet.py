"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from penjing.core.errors import DataError
from penjing.core.types import Row

CHUNK = 4096


class Parquet:
    @classmethod
    def matches(cls, path: Path) -> bool:
        return path.suffix.lower() in (".parquet", ".pq") and path.is_file()

    @classmethod
    def splits(cls, path: Path) -> list[str]:
        return []

    @classmethod
    def read(cls, path: Path, split: str, encoding: str) -> Iterator[list[Row]]:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(CHUNK):
                    yield batch.to_pylist()
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path} is not a readable Parquet file ({str(error).splitlines()[0]}). Write it again.") from error
