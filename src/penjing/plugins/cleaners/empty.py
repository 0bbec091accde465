"""Drops rows with nothing to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from penjing.core.types import NDArray, Row


def empty(rows: Sequence[Row], columns: Sequence[str], target: str) -> NDArray:
    return np.array([any(not _blank(row.get(c)) for c in columns) for row in rows], bool)


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, float) and math.isnan(value))
