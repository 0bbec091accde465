"""rows → answers, in bounded memory: reads some rows, answers them, writes them, and goes on.

The input's columns are kept and the prediction's are added: `label`, `score`, `tier` and so on, with `predicted_` before a name that the
input already has. A file is written as its name, and its bytes not at all.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from penjing.core.data import read
from penjing.core.errors import BadRequest, DataError, nearest
from penjing.core.files import written
from penjing.core.protocols import Predictor, Progress
from penjing.core.rows import ROW_ID
from penjing.core.types import Prediction, Row

CHUNK = 512
"""Rows answered at once. A source may hand over more, and 4,096 images of 224 by 224 pixels would be 600 MB."""
_PLAIN = frozenset({str, int, bool, type(None)})

Write = Callable[[list[dict[str, Any]]], None]


def predict(predictor: Predictor, source: Path, output: Path | None, encoding: str, progress: Progress) -> int:
    """Answer every row of `source` into `output` (CSV or JSONL by its name; None is standard output as JSONL). Returns how many.

    The output appears when all is answered and never in part. Raises DataError for a file without the input columns.
    """
    count = 0
    progress.start(f"predict {source.name}", 0)
    with _sink(output) as write:
        for rows in _chunks(source, encoding):
            require(predictor, rows[0], str(source))
            numbered = [{ROW_ID: number, **row} for number, row in enumerate(rows, count + 1)]  # so that an error names the row of the file
            write([_joined(row, p) for row, p in zip(rows, predictor.predict(numbered), strict=True)])
            count += len(rows)
            progress.advance(len(rows))
    progress.finish()
    return count


def require(predictor: Predictor, row: Row, source: str) -> None:
    """Raise DataError where `row` lacks a column that `predictor` reads."""
    for column in predictor.task.example:
        if column not in row:
            raise DataError(f"{source} has no column {column!r}, which the model reads. {nearest(column, row)}")


def as_line(row: Row) -> str:
    """Return `row` as one line of JSON: no NaN, and nothing of a file but its name."""
    return json.dumps(_told(row), ensure_ascii=False, default=str)


def _chunks(source: Path, encoding: str) -> Iterator[list[Row]]:
    for rows in read(source, "", encoding):
        yield from (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))


def _joined(row: Row, prediction: Prediction) -> dict[str, Any]:
    return _told({**row, **{(f"predicted_{name}" if name in row else name): value for name, value in prediction.items()}})


def _told(row: Row) -> dict[str, Any]:
    """Return `row` as it is written: a file's bytes are left out, and a number that JSON does not have is null."""
    return {name: _plain(value) for name, value in row.items() if not isinstance(value, bytes)}


def _plain(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value.name if isinstance(value, Path) else value


@contextmanager
def _sink(output: Path | None) -> Iterator[Write]:
    if output is None:
        yield lambda rows: _write_jsonl(sys.stdout, rows)
        return
    kinds: dict[str, Callable[[IO[str]], Write]] = {".csv": _csv, ".jsonl": lambda file: lambda rows: _write_jsonl(file, rows)}
    if output.suffix.lower() not in kinds:
        raise BadRequest(f"{output}: predictions are written as {' or '.join(kinds)}. Choose one of these endings.")
    with written(output) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        yield kinds[output.suffix.lower()](file)


def _write_jsonl(file: IO[str], rows: list[dict[str, Any]]) -> None:
    file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def _csv(file: IO[str]) -> Write:
    writers: list[csv.DictWriter[str]] = []

    def write(rows: list[dict[str, Any]]) -> None:
        if not writers:
            writers.append(csv.DictWriter(file, [name for name in rows[0] if name != "scores"], extrasaction="ignore"))
            writers[0].writeheader()
        writers[0].writerows({k: _cell(v) for k, v in row.items()} for row in rows)

    return write


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value
