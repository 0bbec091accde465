"""How far scores are from coming true as often as they say, over the whole: the expected calibration error, in 15 bins of equal width.

Naeini, Cooper and Hauskrecht 2015, and Guo et al. 2017, section 2. With few rows it is above 0 even where confidence is right: its
interval says by how much it moves when the rows are drawn again.

Shapes: B rows, K bins, R resamples, W labels.
"""

from __future__ import annotations

import numpy as np

from penjing.core.protocols import Subject
from penjing.core.statistics import bootstrap_of, percentile_interval, probabilities, resampled_sums
from penjing.core.types import Batch, Measurement, NDArray

MEASURES = ("calibration_error",)
BINS = 15
RESAMPLES = 1000


def calibration(subject: Subject) -> list[Measurement]:
    """Return the error of the scores of `subject.rows`; nothing for answers that have none, such as numbers."""
    if any(spec.link == "identity" for spec in subject.task.outputs.values()):
        return []
    outputs = subject.outputs(subject.rows)
    score_B, true_B = _said(subject, outputs)
    n = len(score_B)
    gap_BK = np.zeros((n, BINS))
    gap_BK[np.arange(n), np.minimum((score_B * BINS).astype(np.int64), BINS - 1)] = score_B - true_B
    errors = np.abs(resampled_sums(gap_BK, RESAMPLES)).sum(axis=1) / n
    low, high = percentile_interval(errors[1:])
    method = f"expected calibration error, {BINS} bins of equal width; {bootstrap_of(n, RESAMPLES)}"
    return [Measurement("calibration_error", float(errors[0]), "", low, high, n, method, "lower")]


def _said(subject: Subject, outputs: Batch) -> tuple[NDArray, NDArray]:
    """Return (B,) the score of the likeliest answer, and whether it is true.

    Of one label that is its share, and not the confidence, which is about costs where mistakes have any.
    """
    ((name, spec),) = subject.task.outputs.items()
    if spec.link == "softmax":
        shares_BW = probabilities(np.asarray(outputs[name], np.float64), "softmax")
        return shares_BW.max(axis=1), shares_BW.argmax(axis=1) == subject.task.target_of(subject.rows)
    return subject.task.confidence(outputs), subject.task.credit(outputs, subject.rows) >= 1
