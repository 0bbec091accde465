"""Measures a package on labelled rows that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penjing.core.data import read, source_of
from penjing.core.errors import DataError, nearest
from penjing.core.protocols import Progress, Signer
from penjing.package.open import open_package
from penjing.stages.evaluate.evaluate import measure


def measure_package(folder: Path, source: Path, signer: Signer, progress: Progress) -> dict[str, Any]:
    """Return a report of what answers, measured on the rows of `source` (its test split where it has one)."""
    package = open_package(folder, signer)
    predictor = package.predictor()
    splits = source_of(source).splits(source)
    rows = [row for chunk in read(source, "test" if "test" in splits else next(iter(splits), "")) for row in chunk]
    for column in (*predictor.task.example, predictor.task.target):
        if rows and column not in rows[0]:
            raise DataError(f"{source} has no column {column!r}, which measuring needs. {nearest(column, rows[0])}")
    measured = measure(predictor, rows, folder, progress)
    entry = {"tier": predictor.name, "measurements": measured}
    task = package.manifest.task["name"]
    return {"task": task, "target": predictor.task.target, "leaderboard": [entry], "serves": predictor.name, "says": []}
