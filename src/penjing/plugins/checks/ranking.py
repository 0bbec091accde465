"""Of two labels, how often a row of the second is ranked above a row of the first: the area under the ROC curve.

Its interval is DeLong's (DeLong, DeLong and Clarke-Pearson 1988), by midranks (Sun and Xu 2014).

Shapes: B rows, P rows of the second label, Q of the first.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm, rankdata

from penjing.core.protocols import Subject
from penjing.core.types import Measurement, NDArray

MEASURES = ("roc_auc",)


def ranking(subject: Subject) -> list[Measurement]:
    """Return the area of `subject.rows`; nothing where the task has not just two labels, or the rows not both of them."""
    ((name, spec),) = subject.task.outputs.items()
    if spec.link != "softmax" or spec.width != 2:
        return []
    logits_B2 = np.asarray(subject.outputs(subject.rows)[name], np.float64)
    second_B = subject.task.target_of(subject.rows) == 1
    if second_B.all() or not second_B.any():
        return []
    value, deviation = area(logits_B2[:, 1] - logits_B2[:, 0], second_B)
    reach = float(norm.ppf(0.975)) * deviation
    low, high = max(0.0, value - reach), min(1.0, value + reach)
    return [Measurement("roc_auc", value, "", low, high, len(second_B), "DeLong's interval")]


def area(score_B: NDArray, second_B: NDArray) -> tuple[float, float]:
    """Return the area under the ROC curve and its standard deviation."""
    high_P, low_Q = score_B[second_B], score_B[~second_B]
    p, q = len(high_P), len(low_Q)
    ranks = rankdata(np.concatenate([high_P, low_Q]))
    above_P = (ranks[:p] - rankdata(high_P)) / q
    below_Q = 1 - (ranks[p:] - rankdata(low_Q)) / p
    variance = (above_P.var(ddof=1) / p if p > 1 else 0.0) + (below_Q.var(ddof=1) / q if q > 1 else 0.0)
    return float(above_P.mean()), math.sqrt(variance)
