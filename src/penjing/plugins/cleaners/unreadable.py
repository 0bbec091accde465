"""Drops rows whose image cannot be decoded: cut off, broken, empty, too large, or no image at all. Rows without images stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penjing.core import plugins
from penjing.core.rows import ROW_ID
from penjing.core.types import NDArray, Row


def why(row: Row, columns: Sequence[str]) -> str:
    """Return the name of the file in `row`, and why it cannot be read."""
    values = [value for column in columns if isinstance(value := row.get(column), bytes | Path)]
    faults = [fault for fault in plugins.load("processors", "pixels").all_unreadable(values) if fault is not None]
    return f"{row.get('file') or f'row {row.get(ROW_ID)}'}: {'; '.join(faults)}"


def unreadable(rows: Sequence[Row], columns: Sequence[str], target: str) -> NDArray:
    keep = np.ones(len(rows), bool)
    for column in columns:
        held = [i for i, row in enumerate(rows) if isinstance(row.get(column), bytes | Path)]
        if held:  # only then is the library needed that decodes images
            whys = plugins.load("processors", "pixels").all_unreadable(rows[i][column] for i in held)
            keep[held] &= [why is None for why in whys]
    return keep
