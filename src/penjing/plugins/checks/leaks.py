"""How many rows were seen before they were measured on: their inputs also stand among rows that a tier learnt or was chosen from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penjing.core.protocols import Subject
from penjing.core.types import Measurement, Row

MEASURES = ("leaked_rows",)


def leaks(subject: Subject, seen: Iterable[Sequence[Row]] = ()) -> list[Measurement]:
    """Return how many of `subject.rows` have the same input columns, all of them, as a row of `seen` (any number of chunks, each read once)."""
    columns = sorted(subject.task.example)
    inputs = [_inputs(row, columns) for row in subject.rows]
    wanted, found, compared = set(inputs), set(), 0
    for chunk in seen:
        compared += len(chunk)
        found |= wanted.intersection(_inputs(row, columns) for row in chunk)
    count = sum(one in found for one in inputs)
    method = f"equal in all input columns to one of {compared} rows that were learnt or chosen from"
    return [Measurement("leaked_rows", float(count), "rows", None, None, len(inputs), method, "lower")]


def _inputs(row: Row, columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(row.get(column)) for column in columns)
