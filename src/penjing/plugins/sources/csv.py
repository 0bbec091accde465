"""Tables with one record a line and a header: separated by comma, semicolon, tab or bar. Every value stays the text it is."""

from __future__ import annotations

import csv as standard
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from penjing.core.errors import DataError
from penjing.core.lines import opened
from penjing.core.types import Row

CHUNK = 4096
SEPARATORS = ",;\t|"


class Csv:
    @classmethod
    def matches(cls, path: Path) -> bool:
        return path.suffix.lower() in (".csv", ".tsv", ".tab") and path.is_file()

    @classmethod
    def splits(cls, path: Path) -> list[str]:
        return []

    @classmethod
    def read(cls, path: Path, split: str, encoding: str) -> Iterator[list[Row]]:
        standard.field_size_limit(sys.maxsize)
        with opened(path, encoding) as file:
            first = file.readline()
            file.seek(0)
            separator = "\t" if path.suffix.lower() in (".tsv", ".tab") else max(SEPARATORS, key=first.count)
            reader = standard.reader(file, delimiter=separator, strict=True)
            try:
                header = _header(path, next(reader, []))
                yield from _rows(path, reader, header)
            except standard.Error as error:
                raise DataError(f"{path}, line {reader.line_num}: {error}. Close the quotes, and double a quote that is part of a value.") from error


def _header(path: Path, names: list[str]) -> list[str]:
    if not any(name.strip() for name in names):
        raise DataError(f"{path} is empty: expected a first line with the names of the columns.")
    header = [name.strip() or f"column_{i}" for i, name in enumerate(names, 1)]
    repeated = [name for name, n in Counter(header).items() if n > 1]
    if repeated:
        places = [i for i, name in enumerate(header, 1) if name == repeated[0]]
        raise DataError(f"{path}, line 1: the column {repeated[0]!r} stands more than once (columns {places}). Give each its own name.")
    return header


def _rows(path: Path, reader: Iterator[list[str]], header: list[str]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    line = 2
    for values in reader:
        if len(values) != len(header):
            if not values:  # a blank line
                continue
            raise DataError(
                f"{path}, line {line}: {len(values)} values where the header has {len(header)} columns. "
                "Put quotes around values that hold the separator or a line break, or remove the line."
            )
        chunk.append(dict(zip(header, values, strict=True)))
        line = reader.line_num + 1  # type: ignore[attr-defined]
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
