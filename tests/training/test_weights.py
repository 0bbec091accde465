"""The weights of a torch module, out and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from penjing.training.weights import set_weights_of, weights_of


def net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_weights_go_out_and_come_back() -> None:
    one, other, rows = net(0).eval(), net(1).eval(), torch.randn(5, 3)
    set_weights_of(other, weights_of(one))
    assert torch.equal(one(rows), other(rows))
    assert weights_of(one)["1.num_batches_tracked"] == 0


def test_what_goes_out_is_a_copy() -> None:
    one = net(0)
    weights_of(one)["0.weight"][:] = 0
    assert not (one[0].weight == 0).any()


def test_reduced_precision_goes_out_as_float32_and_comes_back_as_it_was() -> None:
    one = nn.Linear(3, 2).bfloat16()
    weights = weights_of(one)
    assert weights["weight"].dtype == np.float32
    set_weights_of(one, weights)
    assert one.weight.dtype == torch.bfloat16


def test_weights_of_another_model_are_refused() -> None:
    for wrong in ({}, weights_of(nn.Linear(2, 2))):
        with pytest.raises(ValueError, match="another model"):
            set_weights_of(nn.Linear(3, 2), wrong)
