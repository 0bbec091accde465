"""Blocks that are computed again keep less, and come to the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from penjing.core.errors import PlanError
from penjing.training.nets.recomputing import normed_by_batch, recomputed


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Dropout(0.3), nn.Linear(64, 16), nn.Tanh()) for _ in range(4))

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return x


def held(run: Callable[[], Any]) -> tuple[int, Any]:
    """Return the bytes that are kept for the way back, and the result."""
    kept = 0

    def pack(tensor: Any) -> Any:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        found = run()
    return kept, found


def learnt(net: Deep) -> tuple[int, list[Any]]:
    torch.manual_seed(1)
    x = torch.randn(32, 16)
    kept, out = held(lambda: net(x).square().sum())
    net.zero_grad()
    out.backward()
    return kept, [p.grad.clone() for p in net.parameters()]


def test_gradients_are_the_same_with_dropout_and_less_is_kept() -> None:
    torch.manual_seed(0)
    net = Deep()
    kept, gradients = learnt(net)
    with recomputed(net):
        less, again = learnt(net)
    assert all(torch.equal(a, b) for a, b in zip(gradients, again, strict=True))
    assert less < kept / 4
    assert learnt(net)[0] == kept, "the net is as it was"


def test_reading_is_not_done_twice() -> None:
    net, calls = Deep(), []
    net.blocks[0][1].register_forward_hook(lambda *_: calls.append(1))
    with recomputed(net), torch.no_grad():
        net(torch.randn(2, 16))
    assert len(calls) == 1


def test_what_has_no_blocks_or_counts_batches_is_refused() -> None:
    with pytest.raises(PlanError, match="no blocks"), recomputed(nn.Sequential(nn.Linear(2, 2))):
        pass
    normed = Deep()
    normed.blocks.append(nn.BatchNorm1d(16))
    with pytest.raises(PlanError, match="twice"), recomputed(normed):
        pass


def test_norms_that_stay_as_they_are_do_not_count_as_normed_by_batch() -> None:
    class Still(nn.BatchNorm1d):
        def train(self, mode: bool = True) -> Any:
            return super().train(False)

    assert normed_by_batch(nn.Sequential(nn.BatchNorm1d(2)))
    assert not normed_by_batch(nn.Sequential(Still(2), nn.LayerNorm(2)))
    net = nn.Sequential(nn.BatchNorm1d(2)).eval()
    normed_by_batch(net)
    assert not net.training
