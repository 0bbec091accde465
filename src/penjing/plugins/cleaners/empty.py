"""Drops rows with nothing to read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penjing.core.rows import blank
from penjing.core.types import NDArray, Row


def empty(rows: Sequence[Row], columns: Sequence[str], target: str) -> NDArray:
    return np.array([any(not blank(row.get(c)) for c in columns) for row in rows], bool)
