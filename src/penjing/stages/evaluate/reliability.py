"""Whether a tier is as often right as it says: its calibration on test rows, before and after it was calibrated. Pure numpy.

Shapes: B rows, W width of the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penjing.core.cascade import Cascade, output_of
from penjing.core.protocols import Task
from penjing.core.statistics import mean_loss, probabilities
from penjing.core.types import Batch, NDArray, Row

BINS = 15
"""Of equal width, as in Guo et al. 2017, section 2."""


def reliability(alone: Cascade, raw_BW: NDArray, rows: Sequence[Row]) -> dict[str, Any] | None:
    """Return {method, before, after} of the tier `alone`, which said `raw_BW` before calibration; None for answers without probability."""
    _, spec = output_of(alone.task)
    if spec.link == "identity":
        return None
    after_BW, _ = alone.from_said({next(iter(alone.tiers)): raw_BW})
    return {"method": alone.steps[-1].blend.method, "before": _judged(alone.task, raw_BW, rows), "after": _judged(alone.task, after_BW, rows)}


def _judged(task: Task, logits_BW: NDArray, rows: Sequence[Row]) -> dict[str, Any]:
    name, spec = output_of(task)
    target = task.target_of(rows)
    outputs: Batch = {name: logits_BW}
    shares_BW = probabilities(np.asarray(logits_BW, np.float64), spec.link)
    squared_BW = (shares_BW - (np.eye(spec.width)[target] if spec.link == "softmax" else target)) ** 2
    brier = squared_BW.sum(axis=1).mean() if spec.link == "softmax" else squared_BW.mean()
    bins = _bins(task.confidence(outputs), task.credit(outputs, rows) >= 1)
    ece = sum(b["n"] * abs(b["confidence"] - b["right"]) for b in bins) / len(rows)
    return {"log_loss": mean_loss(logits_BW, target, spec.link), "brier": float(brier), "ece": float(ece), "bins": bins}


def _bins(confidence_B: NDArray, right_B: NDArray) -> list[dict[str, Any]]:
    place_B = np.minimum((confidence_B * BINS).astype(np.int64), BINS - 1)
    found = []
    for i in np.unique(place_B):
        inside = place_B == i
        means = {"confidence": float(confidence_B[inside].mean()), "right": float(right_B[inside].mean())}
        found.append({"low": i / BINS, "high": (i + 1) / BINS, "n": int(inside.sum()), **means})
    return found
