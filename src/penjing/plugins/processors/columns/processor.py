"""Rows of a table → numbers and codes, whatever their columns hold: numbers, booleans, dates, categories and free text together.

What each column is, how its values are spelt, its scale and its categories are learnt from training rows only, and travel as the fields.
What becomes of each kind stands in `parts`, what becomes of the size of numbers in `scaling`. Knows nothing of targets.

Shapes: B rows, N numbers and K codes of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from penjing.core.errors import DataError
from penjing.core.rows import ROW_ID
from penjing.core.tables.survey import survey
from penjing.core.types import Batch, NDArray, Row
from penjing.plugins.processors.columns.parts import Part, learnt_from, part_of
from penjing.plugins.processors.columns.scaling import Scale

_ROWS_AT_A_TIME = 1 << 16


@dataclass(frozen=True)
class Columns:
    """Rows → {"numbers": (B, N) float32, "codes": (B, K) int32: 0 missing, 1 other, 2.. the categories of training, commonest first}.

    With scale "none" a missing number is NaN. Otherwise it is the image of the training mean (0 for z), and where training rows lacked values the
    number is followed by 1 or 0 for "is missing". Booleans are 1 and 0, and words and places in the year, week and day are between -1 and 1: none
    of them is scaled.
    """

    inputs: ClassVar[str] = "table"

    columns: list[str]
    learnt: list[dict[str, Any]]
    """What is known of each column, in their order."""
    scale: Scale = "z"
    text_features: int = 64
    """Numbers that a column of free text becomes."""

    @classmethod
    def options_from(cls, rows: Sequence[Row], columns: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields. Raises DataError for a column of files.

        given: "scale" (z), "max_categories" of a column (1000), "text_features" (64).
        """
        scale: Scale = given.get("scale", "z")
        surveyed = survey(rows, columns)
        for one in surveyed:
            if one.column.kind == "file":
                raise DataError(
                    f"Column {one.column.name!r} holds files, and a table is read from numbers, words and dates. "
                    f"Leave it out with --set data.exclude=[{one.column.name}], or name the columns to read with --column."
                )
        learnt = [learnt_from(one, scale, given.get("max_categories", 1000)) for one in surveyed]
        return {"columns": list(columns), "learnt": learnt, "scale": scale, "text_features": given.get("text_features", 64)}

    @cached_property
    def names(self) -> Mapping[str, list[str]]:
        """The name of every column of the arrays; that of a number, boolean or category is the user's own."""
        return {array: [name for _, part in parts for name in part.names] for array, parts in self._parts.items()}

    @property
    def origins(self) -> Mapping[str, list[str]]:
        """The user's column that each column of the arrays was made from."""
        return {array: [column for column, part in parts for _ in part.names] for array, parts in self._parts.items()}

    def encode(self, rows: Sequence[Row]) -> Batch:
        """Return the arrays. Raises DataError where a row lacks a column."""
        batch = {array: np.empty((len(rows), len(self.names[array])), kind) for array, kind in (("numbers", np.float32), ("codes", np.int32))}
        for start in range(0, len(rows), _ROWS_AT_A_TIME):
            some = rows[start : start + _ROWS_AT_A_TIME]
            for array, filled in batch.items():
                self._fill(filled[start : start + len(some)], some, start, self._parts[array])
        return dict(batch)

    def _fill(self, filled: NDArray, rows: Sequence[Row], start: int, parts: Sequence[tuple[str, Part]]) -> None:
        place = 0
        for column, part in parts:
            end = place + len(part.names)
            filled[:, place:end] = part.encode(self._values(rows, start, column))
            place = end

    def _values(self, rows: Sequence[Row], start: int, column: str) -> list[Any]:
        try:
            return [row[column] for row in rows]
        except KeyError:
            place, row = next((i, row) for i, row in enumerate(rows, start + 1) if column not in row)
            there = ", ".join(map(repr, list(row)[:20])) or "nothing"
            raise DataError(
                f"Row {row.get(ROW_ID, place)} has no column {column!r}; it has {there}. Give each row {', '.join(map(repr, self.columns))}, "
                "with null or an empty text where a value is not known."
            ) from None

    @cached_property
    def _parts(self) -> Mapping[str, list[tuple[str, Part]]]:
        """The parts that fill each array, with the user's columns."""
        found: dict[str, list[tuple[str, Part]]] = {"numbers": [], "codes": []}
        for one in self.learnt:
            if part := part_of(one, self.scale, self.text_features):
                found["codes" if one["kind"] == "category" else "numbers"].append((one["name"], part))
        return found
