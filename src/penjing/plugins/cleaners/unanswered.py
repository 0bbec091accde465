"""Drops rows without an answer in the target column: there is nothing to learn from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penjing.core.rows import blank
from penjing.core.types import NDArray, Row


def unanswered(rows: Sequence[Row], columns: Sequence[str], target: str) -> NDArray:
    return np.array([not blank(row.get(target)) for row in rows], bool)
