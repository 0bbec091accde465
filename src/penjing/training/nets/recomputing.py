"""Blocks of a net whose inside is computed again on the way back instead of being kept (Chen, Xu, Zhang and Guestrin 2016, section 4).

Knows no kind of net: a block is what stands in a ModuleList that lies in no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from penjing.core.errors import PlanError


@contextmanager
def recomputed(net: Any) -> Iterator[None]:
    """Have every block of `net` computed twice while it learns. Raises PlanError where there are none, or none that come to the same twice."""
    blocks = list(_blocks(net))
    if not blocks:
        raise PlanError("This net has no blocks that could be computed again. Leave checkpointing out for this tier.")
    if normed_by_batch(net):
        raise PlanError("A net that is normed by what a batch holds would take in each batch twice. Leave checkpointing out for this tier.")
    for block in blocks:
        block.forward = _twice(block.forward)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def normed_by_batch(net: Any) -> bool:
    """Return whether the rows of a batch know of each other while `net` learns. Leaves it in the mode that it was in."""
    training = net.training
    net.train()
    found = any(isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training for module in net.modules())
    net.train(training)
    return found


def _blocks(module: Any) -> Iterator[Any]:
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from (block for block in child if not isinstance(block, nn.Embedding))
        else:
            yield from _blocks(child)


def _twice(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*given: Any, **named: Any) -> Any:
        return checkpoint(forward, *given, use_reentrant=False, **named) if torch.is_grad_enabled() else forward(*given, **named)

    return run
