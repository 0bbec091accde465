"""What a cascade is measured against: the tier or blend that answers the validation rows best. Knows arrays and names; no thresholds.

Shapes: B rows, W width of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from penjing.core.blend import Blend
from penjing.core.types import Link, NDArray
from penjing.stages.calibrate import fitting

EVERY = 4
"""Tiers up to which every blend is tried; of more, single ones, pairs, and those of all tiers up to one."""


@dataclass
class Blends:
    """The blends of a run's tiers, each fitted once."""

    said: Mapping[str, NDArray]
    """(B, W) logits of each tier for the validation rows, the cheapest tier first."""
    target: NDArray
    link: Link
    found: dict[tuple[str, ...], tuple[Blend, NDArray]] = field(default_factory=dict)

    def of(self, tiers: Sequence[str]) -> tuple[Blend, NDArray]:
        """Return the blend of `tiers`, fitted on all validation rows, and its cross-fitted (B, W) answers to them."""
        key = tuple(tiers)
        if key not in self.found:
            self.found[key] = fitting.chosen(key, self.said, self.target, self.link)
        return self.found[key]

    def candidates(self) -> list[tuple[str, ...]]:
        """Return the sets of tiers that may be the reference."""
        names = list(self.said)
        if len(names) <= EVERY:
            return [chosen for count in range(1, len(names) + 1) for chosen in combinations(names, count)]
        return list(dict.fromkeys([*combinations(names, 1), *combinations(names, 2), *(tuple(names[:n]) for n in range(3, len(names) + 1))]))


def best(blends: Blends, credit: Callable[[NDArray], NDArray], work: Callable[[Sequence[str]], float]) -> tuple[str, ...]:
    """Return the tiers of the reference: the least work whose credit is within one standard error of the most.

    The one-standard-error rule (Breiman et al. 1984, section 3.4.3), with the error of the paired difference: on few rows the best by a hair
    is luck, and would be paid for at every answer.
    """
    earned = {tiers: credit(blends.of(tiers)[1]) for tiers in blends.candidates()}
    most = max(earned, key=lambda tiers: (earned[tiers].mean(), -work(tiers)))
    near = [tiers for tiers, credit_B in earned.items() if _behind(earned[most] - credit_B) <= 0]
    return min(near, key=lambda tiers: (work(tiers), -earned[tiers].mean()))


def _behind(difference_B: NDArray) -> float:
    """Return the mean difference less one standard error of it."""
    n = len(difference_B)
    error = float(difference_B.std(ddof=1)) / np.sqrt(n) if n > 1 else 0.0
    return float(difference_B.mean()) - error
