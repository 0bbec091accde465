"""What the loop learns, as the loop sees it, and how what is learnt is judged. Knows no data and no net of a certain kind.

Shapes: N training examples, M validation rows, B rows of a piece of a step, W width of the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from penjing.core.statistics import mean_loss
from penjing.core.types import NDArray, Spec
from penjing.training.losses import scaled

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Judged:
    """What the validation rows say of a net."""

    scale: float = 1.0
    """What its logits are best multiplied by, at most 1."""
    loss: float = NAN
    """Mean loss of the validation rows at that scale; NaN without any, infinite where an answer is no number."""
    quality: float = NAN
    """How right the answers are, 0 to 1; NaN without validation rows."""


class Trainee(Protocol):
    """A net and the examples that it learns from."""

    net: Any
    """A torch module. What requires a gradient in it is learnt, and what it keeps beside (buffers) goes with that."""
    count: int
    """N."""
    sizes: NDArray
    """(N,) int64, tokens of each example, or 1: a step is cut into pieces of at most `regime.piece` of them."""
    spec: Spec
    operations: float
    """Multiply-adds x 2 of learning from one token, forward and back; 0 where they are not known."""
    divisible: bool
    """False where the rows of a step know of each other, as with batch normalisation: such a step is never cut, nor shared out among workers."""

    def losses(self, rows: NDArray, epoch: int) -> Any:
        """Return (B,) float32, the loss of each training example at `rows`, times its weight.

        Called in train mode, with torch's chance set to a function of seed, epoch, step and piece.
        """

    def validated(self) -> Judged:
        """Judge the net as it is. Called in eval mode, without gradients, and on every worker alike."""

    def scale_output(self, factor: float) -> None:
        """Make the logits `factor` times what they were, for good."""


def judged(logits: NDArray, target: NDArray, spec: Spec) -> Judged:
    """Judge answers to validation rows: logits (M, W); target as `core.statistics.mean_loss` takes it.

    The loss is that at the scale, up to 1, that suits the rows best: at its own scale a net that is right more often would lose to one before
    it for being too sure, which is put right by a number. Never louder: where few rows are all right, no loudness would be enough.
    """
    if not len(target):
        return Judged()
    if not np.isfinite(logits).all():
        return Judged(1.0, float("inf"), 0.0)
    target = np.asarray(target)
    if spec.link == "identity":
        return Judged(1.0, mean_loss(logits, target, spec.link), _quality(logits, target, spec))
    scale, loss = scaled(logits, np.zeros(spec.width), target, spec.link, most=1.0)
    return Judged(scale, loss, _quality(logits, target, spec))


def _quality(logits: NDArray, target: NDArray, spec: Spec) -> float:
    """Return the share that is right of classes, or of yes-and-no answers; of numbers the explained share of their variance, at least 0."""
    if spec.link == "softmax":
        return float((logits.argmax(axis=1) == (target if target.ndim == 1 else target.argmax(axis=1))).mean())
    if spec.link == "sigmoid":
        return float(((logits > 0) == (target > 0.5)).mean())
    spread = ((target - target.mean(axis=0)) ** 2).sum(dtype=np.float64)
    return max(0.0, 1.0 - float(((logits - target) ** 2).sum(dtype=np.float64) / spread)) if spread > 0 else 0.0
