"""Asks a tier about many rows, some hundred at a time, and keeps what it said on disk for the stages that follow.

Shapes: B rows, W width of the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penjing.core.cascade import output_of
from penjing.core.files import written
from penjing.core.protocols import Predictor, Progress
from penjing.core.types import NDArray, Row

CHUNK = 256
"""Rows at a time: an early exit also tells its state, some 0.4 MB a row of 256 tokens."""


def ask(predictor: Predictor, rows: Sequence[Row], progress: Progress) -> NDArray:
    """Return the (B, W) float32 logits of `predictor` for `rows`."""
    name, spec = output_of(predictor.task)
    said_BW = np.empty((len(rows), spec.width), np.float32)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        said_BW[start : start + len(part)] = np.asarray(predictor.outputs(part)[name])
        progress.advance(len(part))
    return said_BW


def keep(folder: Path, member: str, said_BW: NDArray) -> None:
    """Write what the tier `member` said of the validation rows into its export's folder."""
    with written(_place(folder, member)) as partial, partial.open("wb") as file:
        np.save(file, said_BW)


def kept(folder: Path, member: str) -> NDArray:
    """Return what `keep` wrote."""
    said_BW: NDArray = np.load(_place(folder, member), allow_pickle=False)
    return said_BW


def _place(folder: Path, member: str) -> Path:
    return folder / "measured" / f"said-of-validation-{member}.npy"
