"""How far confidence is from being right as often as it says, over the whole: the expected calibration error, in 15 bins of equal width.

Naeini, Cooper and Hauskrecht 2015, and Guo et al. 2017, section 2. With few rows it is above 0 even where confidence is right: its
interval says by how much it moves when the rows are drawn again.

Shapes: B rows, K bins, R resamples.
"""

from __future__ import annotations

import numpy as np

from penjing.core.protocols import Subject
from penjing.core.statistics import percentile_interval, resampled_sums
from penjing.core.types import Measurement

MEASURES = ("calibration_error",)
BINS = 15
RESAMPLES = 1000


def calibration(subject: Subject) -> list[Measurement]:
    """Return the error of the confidence in `subject.rows`; nothing for answers that have none, such as numbers."""
    if any(spec.link == "identity" for spec in subject.task.outputs.values()):
        return []
    outputs = subject.outputs(subject.rows)
    confidence_B, right_B = subject.task.confidence(outputs), subject.task.credit(outputs, subject.rows) >= 1
    n = len(confidence_B)
    gap_BK = np.zeros((n, BINS))
    gap_BK[np.arange(n), np.minimum((confidence_B * BINS).astype(np.int64), BINS - 1)] = confidence_B - right_B
    errors = np.abs(resampled_sums(gap_BK, RESAMPLES)).sum(axis=1) / n
    low, high = percentile_interval(errors[1:])
    method = f"expected calibration error, {BINS} bins of equal width; percentile bootstrap, {RESAMPLES} resamples"
    return [Measurement("calibration_error", float(errors[0]), "", low, high, n, method, "lower")]
