"""How the step size rises and falls, by the names that `Regime.schedule` has: pure functions of the number of the step."""

from __future__ import annotations

import math

from penjing.training.regime import Regime

HALF = 0.5
"""What plateau makes of the step size after an epoch that was no better, and a rollback after one that was no number."""
_LEAST = 0.01
"""What exponential ends with."""


def rate(regime: Regime, step: int, steps: int) -> float:
    """Return the step size at `step` (from 0) of `steps`: up in a line while it warms up, then as the schedule says."""
    warm = max(1, round(regime.warm_up * steps))
    if step < warm:
        return regime.learning_rate * (step + 1) / warm
    return regime.learning_rate * _fallen(regime.schedule, (step - warm) / (steps - warm))


def _fallen(schedule: str, way: float) -> float:
    """Return the share of the highest step size after `way` (0 to below 1) of the steps behind the warm-up."""
    match schedule:
        case "linear":
            return 1 - way
        case "cosine":
            return (1 + math.cos(math.pi * way)) / 2
        case "step":
            return float(0.1 ** int(3 * way))
        case "exponential":
            return float(_LEAST**way)
        case _:  # plateau falls by what the validation rows say, which the loop knows
            return 1.0
