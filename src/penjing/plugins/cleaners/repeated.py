"""Drops rows whose inputs and target stand exactly so in an earlier row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penjing.core.rows import identity
from penjing.core.types import NDArray, Row


def repeated(rows: Sequence[Row], columns: Sequence[str], target: str) -> NDArray:
    seen: set[bytes] = set()
    keep = np.ones(len(rows), bool)
    for i, row in enumerate(rows):
        key = identity(row, [*columns, target])
        keep[i] = key not in seen
        seen.add(key)
    return keep
