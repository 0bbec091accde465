"""One JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from penjing.core.errors import DataError
from penjing.core.lines import opened
from penjing.core.types import Row

CHUNK = 4096


class Jsonl:
    @classmethod
    def matches(cls, path: Path) -> bool:
        return path.suffix.lower() in (".jsonl", ".ndjson") and path.is_file()

    @classmethod
    def splits(cls, path: Path) -> list[str]:
        return []

    @classmethod
    def read(cls, path: Path, split: str, encoding: str) -> Iterator[list[Row]]:
        chunk: list[Row] = []
        with opened(path, encoding) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    chunk.append(_row(path, number, line))
                if len(chunk) == CHUNK:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk


def _row(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {number}: not valid JSON at character {error.colno} ({error.msg}). Correct or remove the line.") from error
    except ValueError as error:
        raise DataError(f"{path}, line {number}: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f'{path}, line {number}: expected an object such as {{"text": "…"}}, found {type(row).__name__}.')
    return row


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(n for n in names if names.count(n) > 1)!r} stands more than once. Give each value its own name.")
    return row
