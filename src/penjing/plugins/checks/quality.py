"""How good the answers are, in the task's own measures."""

from __future__ import annotations

from penjing.core.protocols import Subject
from penjing.core.types import Measurement

CHUNK = 512


def quality(subject: Subject) -> list[Measurement]:
    rows = subject.rows
    predictions = [p for start in range(0, len(rows), CHUNK) for p in subject.predict(rows[start : start + CHUNK])]
    return subject.task.score(predictions, rows)
