"""The canonical losses in torch: what every descent goes down. Knows no net and no optimizer.

Shapes: B examples of a batch, W width of the output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from penjing.core.types import Link


def losses_of(logits_BW: Any, target: Any, link: Link, weight_B: Any = None, label_smoothing: float = 0.0) -> Any:
    """Return (B,), the loss of each example that is canonical for `link`, times its weight; its mean is `core.statistics.mean_loss`.

    target: (B,) int64 classes or (B, W) shares for softmax, (B, W) otherwise; weight_B: how much each example counts, about 1 on average.
    label_smoothing: the share of the target that goes to all classes, or to yes and no, alike (Szegedy et al. 2016, section 7); numbers have none.
    """
    if link == "softmax":
        losses_B = functional.cross_entropy(logits_BW, target, reduction="none", label_smoothing=label_smoothing)
    elif link == "sigmoid":
        target = target * (1 - label_smoothing) + label_smoothing / 2 if label_smoothing else target
        losses_B = functional.binary_cross_entropy_with_logits(logits_BW, target, reduction="none").mean(dim=1)
    else:
        losses_B = functional.mse_loss(logits_BW, target, reduction="none").mean(dim=1)
    return losses_B if weight_B is None else losses_B * weight_B


def mixed(hidden_BD: Any, target: Any, width: int, mixup: float) -> tuple[Any, Any]:
    """Return what the head is given of every example, and its target, mixed with another's of the piece: (B, D) and (B, W) (Verma et al. 2019,
    section 2), by shares from Beta(mixup, mixup). An example's weight stays its own.
    """
    if target.ndim == 1:
        target = functional.one_hot(target, width).float()
    share_B1 = torch.distributions.Beta(mixup, mixup).sample((len(target), 1)).to(hidden_BD.device)
    other = torch.randperm(len(target)).to(hidden_BD.device)
    return share_B1 * hidden_BD + (1 - share_B1) * hidden_BD[other], share_B1 * target + (1 - share_B1) * target[other]


def loss_of(logits_BW: Any, target: Any, link: Link, weight_B: Any = None) -> Any:
    """Return the mean of `losses_of`."""
    return losses_of(logits_BW, target, link, weight_B).mean()
