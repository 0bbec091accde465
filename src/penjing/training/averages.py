"""Averages of weights over steps, in float32, that stand in for the weights themselves: moving (ema), or over the last steps alike (swa).

What a net keeps beside its weights (the statistics of its norms) is averaged with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from penjing.training.regime import Regime

_LAST = 0.25
"""Share of the steps that swa averages over."""


class Average:
    """The average of `weights`, by name, which is how they are told to checkpoints; without any where `regime` asks for none."""

    def __init__(self, weights: Mapping[str, Any], regime: Regime) -> None:
        self.regime = regime
        self._names = [name for name, tensor in weights.items() if tensor.is_floating_point()]
        self._weights = [weights[name].detach() for name in self._names]
        self._means: list[Any] = []
        self.count = 0
        """Steps averaged over."""

    def add(self, step: int, steps: int) -> None:
        """Take in the weights as they are after `step` (from 0) of `steps`."""
        how = self.regime.average
        if how == "none" or (how == "swa" and step < (1 - _LAST) * steps):
            return
        if not self._means:
            self._means = [weight.clone() for weight in self._weights]
        self.count += 1
        torch._foreach_lerp_(self._means, self._weights, self._share())

    def _share(self) -> float:
        """Return what the newest weights count for.

        The moving average of the first steps is a plain one, so that the beginning of learning is soon forgotten.
        """
        return 1 / self.count if self.regime.average == "swa" else max(1 - self.regime.ema_decay, 1 / self.count)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the average in the place of the weights, where there is one."""
        if not self._means:
            yield
            return
        own = [weight.clone() for weight in self._weights]
        torch._foreach_copy_(self._weights, self._means)
        try:
            yield
        finally:
            torch._foreach_copy_(self._weights, own)

    def state(self) -> dict[str, Any]:
        """Return the average by name; nothing before the first step of it."""
        return dict(zip(self._names, self._means, strict=True)) if self._means else {}

    def restore(self, state: Mapping[str, Any], count: int) -> None:
        """Go on from what `state` returned after `count` steps; with nothing, from the beginning."""
        self.count = count
        self._means = [torch.empty_like(weight).copy_(state[name]) for name, weight in zip(self._names, self._weights, strict=True)] if state else []
