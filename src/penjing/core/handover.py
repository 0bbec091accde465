"""Whether a hand-over changed the answers: the same rows of the snapshot through the tier as it was and as it has become."""

from __future__ import annotations

from pathlib import Path

from penjing.core import plugins
from penjing.core.protocols import Check, Subject
from penjing.core.snapshot import Snapshot
from penjing.core.tier import Tier
from penjing.core.types import Measurement

ROWS = 256
"""Rows that go through both sides."""


def parity(ours: Tier, theirs: Tier, data: Snapshot, folder: Path) -> list[Measurement]:
    """Measure `ours`, which lies in `folder`, against `theirs`, which it was made from, on validation rows (training rows where there are none)."""
    check: Check = plugins.load("checks", "parity")
    rows = data.rows("validation", ROWS) or data.rows("train", ROWS)
    return check(Subject(ours.task, rows, ours.outputs, ours.predict, folder, theirs.outputs))
