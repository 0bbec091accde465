"""What rows of every kind of data have in common: names of columns of ours, when two rows are the same case, the bytes of a file that a row names."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penjing.core.errors import DataError
from penjing.core.types import Row

ROW_ID = "penjing_row"
"""Name of the column that numbers rows as they stood in the source, from 1; a name that no user's column has."""
WEIGHT = "penjing_weight"
"""Name of the column that says how much a training row counts, where rows do not all count alike."""
NATURAL = 0.01
"""Share of repeated rows from which they are taken to be different cases that happen to be alike, where a kind of input allows that."""


def blank(value: Any) -> bool:
    """Return whether `value` says nothing: missing, no number, or a text without a character to see. An empty list is an answer ("none of them")."""
    return value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, float) and math.isnan(value))


def identity(row: Row, columns: Sequence[str]) -> bytes:
    """Return 16 bytes that are equal for rows with equal values in `columns`; a file is what it holds, not what it is called."""
    found = hashlib.blake2b(digest_size=16)
    for column in columns:
        value = content(row.get(column))
        found.update(value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass"))
        found.update(b"\x1f")
    return found.digest()


def content(value: Any) -> Any:
    """Return the bytes of the file that `value` names, and any other value as it is. Raises DataError where it cannot be read."""
    if not isinstance(value, Path):
        return value
    try:
        return value.read_bytes()
    except OSError as error:
        raise DataError(f"{value} cannot be read: {error.strerror or error}. Put it back, or take its row out.") from error
