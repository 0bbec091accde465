"""The rules of a step, by the names that `Regime.optimizer` has. Knows no schedule: the loop sets the step size before each step.

Where torch has a rule in one kernel (fused) that is taken, and otherwise the one that goes over all tensors in one call (foreach).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from penjing.training.regime import Regime

_MOMENTUM = 0.9
_LION = (0.9, 0.99)
"""Beta 1 and 2 of Chen et al. 2023, section 4.1."""


def made(parameters: Iterable[Any], regime: Regime) -> Any:
    """Return the optimizer that `regime` asks for, over `parameters`, with weight decay on matrices alone.

    Biases and norms are left free (Loshchilov and Hutter 2019, and the habit since BERT).
    """
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": regime.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups, rate = [group for group in groups if group["params"]], regime.learning_rate
    match regime.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, rate, fused=True)
        case "adam":
            return torch.optim.Adam(groups, rate, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, rate, fused=True)
        case "momentum":
            return torch.optim.SGD(groups, rate, momentum=_MOMENTUM, nesterov=True, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups, rate, foreach=True)
        case "lion":
            return Lion(groups, rate)


class Lion(torch.optim.Optimizer):  # type: ignore[misc]  # torch is not typed for mypy here
    """Steps of one size in the direction of the sign of an interpolated momentum (Chen et al. 2023, algorithm 2)."""

    def __init__(self, groups: Any, lr: float, betas: tuple[float, float] = _LION, weight_decay: float = 0.0) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if moved:
                self._move(moved, group)

    def _move(self, moved: list[Any], group: dict[str, Any]) -> None:
        (first, second), rate = group["betas"], group["lr"]
        gradients = [p.grad for p in moved]
        for p in moved:
            if not self.state[p]:
                self.state[p]["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
        momenta = [self.state[p]["exp_avg"] for p in moved]
        direction = torch._foreach_lerp(momenta, gradients, 1 - first)
        torch._foreach_sign_(direction)
        torch._foreach_mul_(moved, 1 - rate * group["weight_decay"])
        torch._foreach_add_(moved, direction, alpha=-rate)
        torch._foreach_lerp_(momenta, gradients, 1 - second)
