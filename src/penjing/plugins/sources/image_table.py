"""Tables that name image files: a column holds their names, relative to the table's folder; or images themselves, as Hugging Face stores them.

Also a folder with `metadata.csv`, `metadata.jsonl` or `metadata.parquet`, whose column `file_name` names the images in it. Reads the
table through the source of its format, and opens no image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from penjing.core import plugins
from penjing.core.errors import DataError, PenjingError
from penjing.core.pictures import confined, is_image_name
from penjing.core.protocols import Source
from penjing.core.types import Row

_OWN = ("image-table", "image-folder")
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
_FILE_NAME = "file_name"
_START = 1 << 16
_NAMED = re.compile(rb"\.(jpe?g|png|bmp|gif|webp|tiff?)\b", re.IGNORECASE)
_FEW = 20
"""Rows by which a column is judged."""


class ImageTable:
    names_files: ClassVar[bool] = True
    """What is learnt from lies in files that the table names: they are digested with it."""

    @classmethod
    def matches(cls, path: Path) -> int:
        """See the protocol. Looks at the first rows: 2 where they hold images or the names of files that are there, else 0."""
        try:
            tables = [table for group in _tables(path).values() for table in group]
            return 2 if tables and _columns(_first(tables[0]), tables[0].parent) else 0
        except (PenjingError, OSError, pa.ArrowException):
            return 0  # the source of the format says what is wrong with it

    @classmethod
    def splits(cls, path: Path) -> list[str]:
        found = _tables(path)
        return _source(path).splits(path) if "whole" in found else [name for name in ("train", "validation", "test") if name in found]

    @classmethod
    def read(cls, path: Path, split: str, encoding: str) -> Iterator[list[Row]]:
        """Yield the table's rows with a Path in place of each image's name; `file_name` becomes "image", and "file" keeps what it held.

        Raises DataError with the row of a file that is missing, or that lies outside the folder.
        """
        found = _tables(path)
        if "whole" in found:
            yield from _read(path, path if path.is_dir() else path.parent, split, encoding)
            return
        for table in found[split] if split else [table for group in found.values() for table in group]:
            yield from _read(table, table.parent, "", encoding)


def _tables(path: Path) -> dict[str, list[Path]]:
    """Return the tables of `path`: "whole" where it is a table or a data set of them, "" or the splits where they describe the images of a folder."""
    if path.is_file():
        return {"whole": [path]}
    if here := _metadata(path):
        return {"": here}
    found: dict[str, list[Path]] = {}
    for folder in sorted(p for p in path.iterdir() if p.is_dir() and p.name.lower() in _SPLITS):
        if inner := _metadata(folder):
            found.setdefault(_SPLITS[folder.name.lower()], []).extend(inner)
    if found:
        return found
    data = sorted(p for p in [*path.glob("*.parquet"), *path.glob("data/*.parquet"), *path.glob("*.arrow"), *path.glob("*/*.arrow")])
    return {"whole": data} if data else {}


def _metadata(folder: Path) -> list[Path]:
    return [folder / name for name in _METADATA if (folder / name).is_file()][:1]


def _source(path: Path) -> type[Source]:
    """Return the source of the table's own format. Raises DataError where there is none."""
    others: list[type[Source]] = [plugins.load("sources", name) for name in plugins.names("sources") if name not in _OWN]
    best = max(others, key=lambda source: int(source.matches(path)))
    if not best.matches(path):
        raise DataError(f"{path}: no source reads this kind of table.")
    return best


def _first(table: Path) -> Sequence[Row]:
    """Return the first rows of a table, without reading much of it."""
    if table.suffix in (".parquet", ".pq"):
        with pq.ParquetFile(table) as file:
            return next((batch.to_pylist() for batch in file.iter_batches(_FEW)), [])
    if table.suffix == ".arrow":
        with pa.memory_map(str(table)) as mapped, pa.ipc.open_stream(mapped) as stream:
            return next((batch.slice(0, _FEW).to_pylist() for batch in stream), [])
    with table.open("rb") as file:
        if not _NAMED.search(file.read(_START)):
            return []
    return next(iter(_source(table).read(table, "", "utf-8")), [])[:_FEW]


def _columns(rows: Sequence[Row], folder: Path) -> list[str]:
    """Return the columns that hold images, or names that all end as those of images do and the first of which is there."""
    return [name for name in (rows[0] if rows else ()) if _holds_images([v for row in rows if (v := row.get(name)) not in (None, "")], folder)]


def _holds_images(values: Sequence[Any], folder: Path) -> bool:
    if not values:
        return False
    if all(_is_struct(value) for value in values):
        return True
    return all(isinstance(value, str) and is_image_name(_plain(value)) for value in values) and (folder / _plain(values[0])).is_file()


def _is_struct(value: Any) -> bool:
    """Return whether `value` is an image as Hugging Face's data sets hold it (datasets.Image)."""
    return isinstance(value, Mapping) and value.keys() == {"bytes", "path"}


def _read(table: Path, folder: Path, split: str, encoding: str) -> Iterator[list[Row]]:
    number, columns = 0, list[str]()
    for chunk in _source(table).read(table, split, encoding):
        columns = columns or _columns(chunk[:_FEW], folder)
        yield [_row(row, columns, folder, f"{table}, row {number + i}") for i, row in enumerate(chunk, 1)]
        number += len(chunk)


def _row(row: Row, columns: Sequence[str], folder: Path, where: str) -> Row:
    held = dict(row)
    for name in columns:
        held[name] = _image(row.get(name), folder, where)
    if _FILE_NAME in columns and "image" not in row:
        held = {"image": held.pop(_FILE_NAME), "file": row[_FILE_NAME], **held}
    return held


def _image(value: Any, folder: Path, where: str) -> Path | bytes | None:
    """Return the image that a cell names or holds; None where it is empty. Raises DataError that begins with `where`."""
    if _is_struct(value):
        if value["bytes"] is not None:
            return bytes(value["bytes"])
        value = value["path"]
    if value is None or not str(value).strip():
        return None
    file = confined(folder, _plain(str(value)), where)
    if not file.is_file():
        raise DataError(f"{where}: there is no file {_plain(str(value))!r} in {folder}. Put it there, or remove the row.")
    return file


def _plain(name: str) -> str:
    """Return a file's name as it is spelt here; tables written on Windows have backslashes."""
    return name.strip().replace("\\", "/")
