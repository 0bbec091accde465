"""Whether a hand-over changed the answers: the same rows through both sides.

Shapes: B rows, W width of an output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penjing.core.handover import HandOver
from penjing.core.paired import paired
from penjing.core.protocols import Subject, Task
from penjing.core.statistics import exact_interval
from penjing.core.types import Array, Batch, Measurement, NDArray, Prediction, Row

MEASURES = ("parity", "largest_difference", "score_difference")
_NO_NUMBER = float(np.finfo(np.float32).max)
"""Stands for the difference between outputs of which one is missing or is no finite number."""
_NOISE = 1e-3
"""Numbers of two predictions count as the same within it, where their tasks differ and only the predictions can be compared."""


def parity(subject: Subject) -> list[Measurement]:
    """Return the share of rows with the same answer (mean agreement), the largest difference of any output, and the paired difference in credit.

    `subject.reference` must be given. The last is left out where rows have no target, or where the outputs do not fit their task.
    """
    assert subject.reference is not None  # noqa: S101 - a programming error, not a user's
    ours, theirs, rows = subject.outputs(subject.rows), subject.reference(subject.rows), subject.rows
    mine = subject.task
    other = subject.theirs.task if isinstance(subject, HandOver) and subject.theirs is not None else mine
    n, fit = len(rows), _fit(mine, ours, len(rows)) and _fit(other, theirs, len(rows))
    agreement_B = _agreement(mine, ours, other, theirs, rows) if fit else np.zeros(n)
    low, high = exact_interval(int(np.floor(agreement_B.sum())), n)
    difference = max((_largest(ours.get(name), theirs.get(name)) for name in {*mine.outputs, *other.outputs}), default=_NO_NUMBER)
    measured = [
        Measurement("parity", float(agreement_B.mean()), "", low, high, n, "exact binomial interval (Clopper–Pearson)"),
        Measurement("largest_difference", difference, "logits", None, None, n, "maximum, in parts of a logit above 1", "lower"),
    ]
    if fit and all(row.get(task.target) is not None for row in rows for task in (mine, other)):
        won = paired(mine.credit(ours, rows), other.credit(theirs, rows))
        measured.append(Measurement("score_difference", won.value, "", won.low, won.high, n, f"mean difference in credit; {won.method}"))
    return measured


def _fit(task: Task, outputs: Batch, n: int) -> bool:
    return all(_shape(outputs.get(name)) == (n, spec.width) for name, spec in task.outputs.items())


def _agreement(mine: Task, ours: Batch, other: Task, theirs: Batch, rows: Sequence[Row]) -> NDArray:
    """Return (B,) in 0..1. Two tasks read their outputs differently, so that then the predictions must be the same, word for word."""
    if mine == other:
        return mine.agreement(ours, theirs)
    pairs = zip(mine.decode(ours, rows), other.decode(theirs, rows), strict=True)
    return np.array([_same(a, b) for a, b in pairs], np.float64)


def _same(a: Prediction | Any, b: Prediction | Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= _NOISE * max(1.0, abs(a), abs(b))
    return bool(a == b)


def _shape(output: Array | None) -> tuple[int, ...] | None:
    return output.shape if isinstance(output, np.ndarray) else None


def _largest(ours: Array | None, theirs: Array | None) -> float:
    if _shape(ours) is None or _shape(ours) != _shape(theirs):
        return _NO_NUMBER
    with np.errstate(all="ignore"):
        theirs_BW = np.asarray(theirs, np.float64)
        # Float32 keeps seven digits of a number: what is large may differ by more.
        difference_BW = np.abs(np.asarray(ours, np.float64) - theirs_BW) / np.maximum(1, np.abs(theirs_BW))
    return float(np.nan_to_num(difference_BW, nan=_NO_NUMBER, posinf=_NO_NUMBER).max(initial=0))
