"""Whether a hand-over changed the answers: the same rows of the snapshot through the predictor as it was and as it has become.

Measures; what differs first is core/difference.py's to say, and whether it is too much is the gate's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penjing.core import plugins
from penjing.core.protocols import Check, Predictor, Subject
from penjing.core.snapshot import Snapshot
from penjing.core.types import Measurement, Row

ROWS = 256
"""Rows that go through both sides."""


@dataclass(frozen=True)
class HandOver(Subject):
    """What the check of a hand-over looks at: one side as the subject, and the side that it was made from."""

    theirs: Predictor | None = None
    """Its own task says what its outputs mean: equal arrays under swapped labels are different answers."""


def rows_of(data: Snapshot) -> list[Row]:
    """Return the rows that go through both sides: validation rows, or training rows where there are none."""
    return data.rows("validation")[:ROWS] or data.rows("train")[:ROWS]


def compared(ours: Predictor, theirs: Predictor, data: Snapshot, folder: Path) -> list[Measurement]:
    """Measure `ours`, which lies in `folder`, against `theirs`, which it was made from: parity, largest_difference, score_difference."""
    check: Check = plugins.load("checks", "parity")
    return check(HandOver(ours.task, rows_of(data), ours.outputs, ours.predict, folder, theirs.outputs, theirs))
