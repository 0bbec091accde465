"""Whether one side answers better than another on the same rows: a paired test and the interval of the difference. Pure numpy and scipy.special.

Both sides saw the same rows, so only the rows on which they differ say anything; two separate intervals that overlap prove nothing either way.
Shapes: B rows, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, ndtri

from penjing.core.statistics import bootstrap_of, percentile_interval, resampled_sums
from penjing.core.types import NDArray

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Paired:
    """How much more credit one side got than the other, a row, with the 95 % interval and the p-value of there being no difference."""

    value: float
    low: float
    high: float
    p: float
    n: int
    wins: int
    """Rows on which the first side did better."""
    losses: int
    method: str


def paired(ours_B: NDArray, theirs_B: NDArray) -> Paired:
    """Compare the credit (core.protocols.Task.credit) of two sides on the same rows; `value` is ours minus theirs."""
    difference_B = np.asarray(ours_B, np.float64) - np.asarray(theirs_B, np.float64)
    n, wins, losses = len(difference_B), int((difference_B > 0).sum()), int((difference_B < 0).sum())
    if is_binary(ours_B) and is_binary(theirs_B):
        low, high = bonett_price(wins, losses, n)
        return Paired((wins - losses) / max(n, 1), low, high, mcnemar(wins, losses), n, wins, losses, "exact McNemar test, Bonett–Price interval")
    means_R = resampled_sums(difference_B[:, None], RESAMPLES)[:, 0] / n
    low, high = percentile_interval(means_R[1:])
    return Paired(float(means_R[0]), low, high, _p_value(means_R[1:]), n, wins, losses, f"paired {bootstrap_of(n, RESAMPLES)}")


def is_binary(credit_B: NDArray) -> bool:
    """Return whether every answer is right or wrong, and nothing between."""
    return bool(np.isin(credit_B, (0, 1)).all())


def mcnemar(wins: int, losses: int) -> float:
    """Return the two-sided exact p-value of McNemar's test (McNemar 1947, Psychometrika 12:153): a sign test on the rows that differ."""
    return min(1.0, 2 * float(bdtr(min(wins, losses), wins + losses, 0.5))) if wins + losses else 1.0


def bonett_price(wins: int, losses: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a difference of paired proportions (Bonett and Price 2012, J. Educ. Behav. Stat. 37:479, adjusted Wald)."""
    won, lost = (wins + 1) / (n + 2), (losses + 1) / (n + 2)
    error = np.sqrt((won + lost - (won - lost) ** 2) / (n + 2)) * ndtri(1 - (1 - confidence) / 2)
    return max(-1.0, float(won - lost - error)), min(1.0, float(won - lost + error))


def _p_value(means_R: NDArray) -> float:
    """Return the two-sided bootstrap p-value (Efron and Tibshirani 1993, section 15.4); never 0, as R resamples cannot show that."""
    below, above = (1 + (means_R <= 0).sum()) / (len(means_R) + 1), (1 + (means_R >= 0).sum()) / (len(means_R) + 1)
    return min(1.0, 2 * float(min(below, above)))
