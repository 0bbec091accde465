"""What every descent in torch shares: AdamW, the way its steps rise and fall, and the canonical losses.

Shapes: B examples of a batch, W width of the output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from penjing.core.types import Link

WARM_UP = 0.1
"""Share of the steps in which their size rises."""


def adamw(module: Any, learning_rate: float, weight_decay: float) -> Any:
    """Return AdamW over what may be learnt in `module`, with weight decay on matrices alone.

    Biases and norms are left free (Loshchilov and Hutter 2019, and the habit since BERT).
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, fused=True)


def slope(step: int, steps: int) -> float:
    """Return the share of the highest learning rate at `step` (from 0): up in a line for a tenth of the steps, then down to zero."""
    warm = max(1, round(WARM_UP * steps))
    return min((step + 1) / warm, (steps - step) / max(1, steps - warm))


def loss_of(logits_BW: Any, target: Any, link: Link, weight_B: Any = None) -> Any:
    """Return the mean loss that is canonical for `link`; the same as `core.statistics.mean_loss`.

    target: (B,) int64 classes or (B, W) shares for softmax, (B, W) otherwise; weight_B: how much each example counts, about 1 on average.
    """
    if link == "softmax":
        loss = functional.cross_entropy(logits_BW, target, reduction="none")
    elif link == "sigmoid":
        loss = functional.binary_cross_entropy_with_logits(logits_BW, target, reduction="none").mean(dim=1)
    else:
        loss = functional.mse_loss(logits_BW, target, reduction="none").mean(dim=1)
    return loss.mean() if weight_B is None else (loss * weight_B).mean()
