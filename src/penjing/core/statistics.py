"""Intervals and the functions that turn logits into answers. Pure numpy and scipy.special; source beside each formula.

Shapes: B rows, C classes, K columns, R resamples.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv, expit, logsumexp

from penjing.core.types import Link, NDArray

MANY = 20_000
"""Rows above which resampling them one by one takes seconds and tells nothing that their normal limit does not."""


def probabilities(logits_BC: NDArray, link: Link) -> NDArray:
    """Return the inverse link of `logits_BC`: class probabilities, independent probabilities, or the values themselves."""
    if link == "softmax":
        shifted = np.exp(logits_BC - logits_BC.max(axis=1, keepdims=True, initial=-np.inf))
        result: NDArray = shifted / shifted.sum(axis=1, keepdims=True)
        return result
    return np.asarray(expit(logits_BC)) if link == "sigmoid" else logits_BC


def mean_loss(logits: NDArray, target: NDArray, link: Link, weight: NDArray | None = None) -> float:
    """Return the mean loss that is canonical for `link`: cross-entropy in nats, or squared error.

    logits: (B, C); target: (B,) int64 classes or (B, C) shares for softmax, (B, C) otherwise. weight: (B,), how much each row counts, 1 on average.
    """
    logits = logits.astype(np.float64)
    if link == "softmax":
        taken = logits[np.arange(len(target)), target] if target.ndim == 1 else (target * logits).sum(axis=1)
        losses = (logsumexp(logits, axis=1) - taken)[:, None]
    elif link == "sigmoid":
        losses = np.logaddexp(0, logits) - target * logits
    else:
        losses = (logits - target) ** 2
    return float(losses.mean() if weight is None else (losses * weight[:, None]).mean())


def exact_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Clopper–Pearson interval of a proportion (Clopper and Pearson 1934, Biometrika 26:404)."""
    if n == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return low, high


def resampled_sums(values_BK: NDArray, resamples: int, seed: int = 0) -> NDArray:
    """Return (1 + R, K): the sums of the columns over all rows, then over each bootstrap resample of the rows (Efron 1979).

    Of more than MANY rows the sums are drawn from their normal limit (Bickel and Freedman 1981, theorem 2.1), which takes one pass.
    """
    n = len(values_BK)
    rng = np.random.default_rng(seed)
    sums = [values_BK.sum(axis=0, dtype=np.float64)[None]]
    if n > MANY:
        variance_K, axes_KK = np.linalg.eigh(np.atleast_2d(np.cov(values_BK.astype(np.float64), rowvar=False, ddof=0)))
        drawn_RK = rng.standard_normal((resamples, len(variance_K))) * np.sqrt(np.maximum(variance_K, 0) * n)
        return np.vstack([*sums, sums[0] + drawn_RK @ axes_KK.T])
    block = max(1, 10_000_000 // n)  # so that the counts of a block of resamples stay below 80 MB
    for start in range(0, resamples, block):
        counts_RB = rng.multinomial(n, np.full(n, 1 / n), size=min(block, resamples - start))
        sums.append(counts_RB.astype(np.float64) @ values_BK)
    return np.vstack(sums)


def bootstrap_of(n: int, resamples: int) -> str:
    """Return the method of an interval from `resampled_sums` of `n` rows, in words."""
    return f"percentile bootstrap, {resamples} resamples{' of the normal limit' if n > MANY else ''}"


def percentile_interval(values: NDArray, confidence: float = 0.95) -> tuple[float, float]:
    """Return the percentile bootstrap interval (Efron and Tibshirani 1993, section 13.3) of resampled statistics (R,)."""
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(values[np.isfinite(values)], [tail, 100 - tail]) if np.isfinite(values).any() else (np.nan, np.nan)
    return float(low), float(high)


def macro_f1(confusion: NDArray) -> NDArray:
    """Return the mean over classes of F1 = 2TP / (2TP + FP + FN), for confusion counts (…, C true, C predicted).

    A class that is neither present nor predicted is left out of the mean.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    total = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    seen = total > 0
    f1 = np.divide(2 * hits, total, out=np.zeros_like(hits), where=seen)
    result: NDArray = f1.sum(axis=-1) / np.maximum(seen.sum(axis=-1), 1)
    return result
