"""Exact tests of what a cascade promises, on rows that nothing else has seen. Pure numpy and scipy; knows no tiers.

Settings are tested in an order fixed beforehand, the most careful first, each at the full level, until one fails: the chance that any
setting taken breaks its promise is then no more than that level (fixed-sequence testing, Maurer, Hothorn and Lehmacher 1995; used so for
calibrating predictors by Angelopoulos et al. 2021, "Learn then Test", section 2.2).

Shapes: B rows, D rows that differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy.special import bdtr, betaincinv
from scipy.stats import binom

from penjing.core.types import NDArray

Keep = Literal["accuracy", "agreement"]
_NUISANCE = 0.1
"""Share of the level that is spent on a bound for the rows gained."""
_GRID = 65


@dataclass(frozen=True, slots=True)
class Promise:
    """What must hold of all rows to come that are like the calibration rows."""

    keep: Keep
    limit: float
    """Of agreement: the share of rows with the reference's answer, at least. Of accuracy: the share of rows lost against it, at most."""
    confidence: float
    """1 less the chance (0 to 1) that it is made and does not hold."""

    @property
    def allowed(self) -> float:
        """Largest expected loss a row."""
        return 1 - self.limit if self.keep == "agreement" else self.limit

    @property
    def rows_needed(self) -> int:
        """Rows without which it cannot be promised, even if not one of them is lost."""
        low, high = 0, 1
        while self._p_value(0, 0, high) > 1 - self.confidence:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._p_value(0, 0, middle) <= 1 - self.confidence else (middle, high)
        return high

    def p_value(self, loss_B: NDArray) -> float:
        """Return the chance of a loss as small as `loss_B` (see `losses`) if the promise did not hold."""
        return self._p_value(int((loss_B > 0).sum()), int((loss_B < 0).sum()), len(loss_B))

    def _p_value(self, lost: int, gained: int, n: int) -> float:
        if self.keep == "agreement":
            return float(bdtr(lost, n, self.allowed))
        return not_worse(lost, gained, n, self.allowed, _NUISANCE * (1 - self.confidence))

    def holds(self, loss_B: NDArray) -> bool:
        return len(loss_B) > 0 and self.p_value(loss_B) <= 1 - self.confidence


def certified(promise: Promise, losses: Iterable[NDArray]) -> int:
    """Return how many settings, from the first, keep the promise: testing ends at the first that is not shown to."""
    count = 0
    for loss_B in losses:
        if not promise.holds(loss_B):
            break
        count += 1
    return count


@cache  # settings that lie next to each other often lose and gain as many rows
def not_worse(lost: int, gained: int, n: int, margin: float, nuisance: float) -> float:
    """Return an exact p-value of "the share lost exceeds the share gained by `margin` or more".

    lost: rows that only the reference has right; gained: rows that only we have right. Paired proportions have a nuisance, the share gained:
    the p-value is the largest over all values of it in a (1 - nuisance) interval, plus nuisance (Berger and Boos 1994, JASA 89:1012).
    """
    highest = 1.0 if gained >= n else float(betaincinv(gained + 1, n - gained, 1 - nuisance))
    highest = min(highest, (1 - margin) / 2)
    tails = [_tail(lost - gained, n, margin + share, share) for share in np.linspace(0, highest, _GRID)]
    return min(1.0, max(tails) + nuisance)


def _tail(difference: int, n: int, lost: float, gained: float) -> float:
    """Return P(L - G <= difference) for n rows of which each is lost, gained or neither: of D that differ, L is binomial."""
    differ = lost + gained
    spread = 10 * np.sqrt(n * differ * (1 - differ)) + 40  # beyond it lies less than rounding takes
    counts_D = np.arange(max(0, int(n * differ - spread)), min(n, int(n * differ + spread)) + 1)
    most_D = np.floor((counts_D + difference) / 2)
    tail_D = np.where(most_D < 0, 0.0, bdtr(np.clip(most_D, 0, counts_D), counts_D, lost / differ))
    return float(np.clip((binom.pmf(counts_D, n, differ) * tail_D).sum(), 0.0, 1.0))
