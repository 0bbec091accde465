"""How a learning went: one point for every step or so, told while it goes on. Knows no learner and no sink by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """Where a learning is."""

    step: int
    """Steps of the optimizer done, of all epochs."""
    epoch: float
    """Epochs done, with a fraction."""
    seconds: float
    """Spent on learning until here, before a kill too."""
    loss: float
    """Mean training loss of the rows since the last point."""
    rate: float
    """Learning rate of the last step."""
    examples: int = 0
    """Rows learnt from since the last point."""
    tokens: int = 0
    """Tokens (or rows, of what has none) since the last point."""
    operations: float = 0.0
    """Multiply-adds x 2 since the last point, forward and back; 0 where they were not counted."""
    validation_loss: float | None = None
    """Where the point ends an epoch."""
    quality: float | None = None
    """How right the answers to the validation rows are, 0 to 1, where the point ends an epoch."""
    joules: float = 0.0
    """Since the beginning."""


Tell = Callable[[str, Point], None]
"""(name of the curve, such as "fine-tuning"; point) → told."""


def nobody(name: str, point: Point) -> None:
    """Tell nobody."""
