"""exported tiers + test rows → a report: every tier measured by every check. Measures; the gate judges.

Layout of the folder: `measured/report.json` (see core/report.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from penjing.core import plugins, report
from penjing.core.errors import DataError
from penjing.core.files import read_json, write_json
from penjing.core.protocols import Check, Progress, Subject
from penjing.core.snapshot import Snapshot
from penjing.core.tier import Tier
from penjing.core.types import Row

CHECKS = ("quality", "speed", "size")
"""Made for every tier, in the order of the leaderboard's columns."""


def evaluate(data: Snapshot, learnt: Mapping[str, Path], exported: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Measure every exported tier on the test rows and write the report."""
    rows = data.rows("test")
    leaderboard: list[dict[str, Any]] = []
    for name, place in exported.items():
        training = read_json(learnt[name] / "measured" / "training.json")
        entry = {"tier": name, "seconds_to_learn": training["seconds"], "validation": training["validation"]}
        entry["parity"] = read_json(place / "measured" / "parity.json")
        leaderboard.append(entry | {"measurements": measure(Tier.open(place), rows, place, progress)})
    described = read_json(data.folder / "data.json")
    write_json(
        folder / "measured" / "report.json",
        {
            "format": report.FORMAT,
            "task": described["task"]["name"],
            "target": data.task.target,
            "columns": data.columns,
            "counts": data.counts,
            "dropped": described["dropped"],
            "leaderboard": leaderboard,
            "serves": report.best(leaderboard),
            "says": report.comparisons(leaderboard),
        },
    )


def measure(tier: Tier, rows: Sequence[Row], folder: Path, progress: Progress) -> list[dict[str, Any]]:
    """Return what every check measures of `tier`, which lies in `folder`, on labelled `rows`."""
    if not rows:
        raise DataError("There are no rows to measure on.")
    subject = Subject(tier.task, rows, tier.outputs, _counted(tier, progress), folder)
    progress.start(f"measure {tier.name}", len(rows))
    measured = []
    for name in CHECKS:
        check: Check = plugins.load("checks", name)
        measured += [asdict(m) for m in check(subject)]
    progress.finish()
    return measured


def _counted(tier: Tier, progress: Progress) -> Any:
    def predict(rows: Sequence[Row]) -> Any:
        predictions = tier.predict(rows)
        progress.advance(len(rows))
        return predictions

    return predict
