"""Whether a hand-over changed the answers: the same rows through both sides."""

from __future__ import annotations

import numpy as np

from penjing.core.protocols import Subject
from penjing.core.statistics import exact_interval
from penjing.core.types import Measurement


def parity(subject: Subject) -> list[Measurement]:
    """Return the share of rows with the same answer (mean agreement) and the largest difference of any output.

    `subject.reference` must be given.
    """
    assert subject.reference is not None  # noqa: S101 - a programming error, not a user's
    ours, theirs, n = subject.outputs(subject.rows), subject.reference(subject.rows), len(subject.rows)
    agreement_B = subject.task.agreement(ours, theirs)
    low, high = exact_interval(int(np.floor(agreement_B.sum())), n)
    difference = max(float(np.abs(np.asarray(ours[name]) - np.asarray(theirs[name])).max(initial=0)) for name in ours)
    return [
        Measurement("parity", float(agreement_B.mean()), "", low, high, n, "exact binomial interval (Clopper–Pearson)"),
        Measurement("largest_difference", difference, "logits", None, None, n, "maximum", "lower"),
    ]
