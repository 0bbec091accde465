"""Numbers of a column → numbers of a like size: what is learnt of training values, and how it is applied. Knows no rows, columns or missing values.

What lies outside of what training saw: z goes on, in its straight line; min-max and quantile stay at the nearest end.

Shapes: B values, K knots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from penjing.core.tables.columns import LARGEST
from penjing.core.types import NDArray

Scale = Literal["none", "z", "min-max", "quantile"]
KNOTS = 1000
_EDGE = 1e-7
"""Share beyond which a quantile counts as the first or last, as in scikit-learn's QuantileTransformer: scores end at 5.2 standard deviations."""


def learnt(scale: Scale, values_N: NDArray) -> dict[str, Any]:
    """Return, as JSON, what `applied` needs, learnt from values without missing ones."""
    if scale == "none" or not len(values_N):
        return {"center": 0.0, "spread": 1.0}
    if scale == "quantile":
        shares_K = np.linspace(0, 1, min(KNOTS, len(values_N)))
        return {"knots": np.maximum.accumulate(np.quantile(values_N, shares_K)).tolist()}
    center, spread = (values_N.mean(), values_N.std()) if scale == "z" else (values_N.min(), np.ptp(values_N))
    return {"center": float(center), "spread": float(spread) or 1.0}


def applied(scale: Scale, how: Mapping[str, Any], values_B: NDArray) -> NDArray:
    """Return (B,) float64 of a size that float32 holds; NaN stays NaN."""
    if "knots" in how:
        return _scores(np.asarray(how["knots"]), values_B)
    if scale == "none":
        return values_B
    scaled = (values_B - how["center"]) / how["spread"]
    low, high = (0.0, 1.0) if scale == "min-max" else (-LARGEST, LARGEST)
    kept: NDArray = np.minimum(np.maximum(scaled, low), high)
    return kept


def _scores(knots_K: NDArray, values_B: NDArray) -> NDArray:
    """Return the normal scores of quantiles: the standard normal's quantile of the share of training values below.

    A value that many training rows share stands for a range of shares: the mean of its ends is taken, from interpolating from both sides.
    """
    shares_K = np.linspace(0, 1, len(knots_K))
    above = np.interp(values_B, knots_K, shares_K)
    below = -np.interp(-values_B, -knots_K[::-1], -shares_K[::-1])
    share_B = (above + below) / 2
    share_B[values_B + _EDGE > knots_K[-1]] = 1
    share_B[values_B - _EDGE < knots_K[0]] = 0
    return np.asarray(ndtri(np.clip(share_B, _EDGE, 1 - _EDGE)))
