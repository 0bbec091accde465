"""Measures a package on labelled rows that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penjing.core.data import read, source_of
from penjing.core.errors import DataError, nearest
from penjing.core.protocols import Progress, Signer
from penjing.package.open import open_package
from penjing.stages.evaluate import measure


def measure_package(folder: Path, source: Path, signer: Signer, progress: Progress) -> dict[str, Any]:
    """Return a report of the tier that answers, measured on the rows of `source` (its test split where it has one)."""
    package = open_package(folder, signer)
    tier = package.tier()
    splits = source_of(source).splits(source)
    rows = [row for chunk in read(source, "test" if "test" in splits else next(iter(splits), "")) for row in chunk]
    for column in (*tier.task.example, tier.task.target):
        if rows and column not in rows[0]:
            raise DataError(f"{source} has no column {column!r}, which measuring needs. {nearest(column, rows[0])}")
    measured = measure(tier, rows, folder / package.manifest.tier().folder, progress)
    entry = {"tier": tier.name, "measurements": measured}
    task = package.manifest.task["name"]
    return {"task": task, "target": tier.task.target, "leaderboard": [entry], "serves": tier.name, "says": []}
