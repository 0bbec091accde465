"""Drops rows without an answer in the target column: there is nothing to learn from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from penjing.core.types import NDArray, Row


def unanswered(rows: Sequence[Row], columns: Sequence[str], target: str) -> NDArray:
    return np.array([not _blank(row.get(target)) for row in rows], bool)


def _blank(value: Any) -> bool:
    # An empty list of labels is an answer ("none of them"), not a missing one.
    return value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, float) and math.isnan(value))
