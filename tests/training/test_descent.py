"""The losses are those that tiers are judged by; steps rise and fall."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from penjing.core.statistics import mean_loss
from penjing.core.types import Link
from penjing.training.descent import adamw, loss_of, slope


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
@pytest.mark.parametrize("weighed", [False, True])
def test_the_loss_is_the_one_that_is_judged_by(link: Link, weighed: bool) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(9, 3)).astype(np.float32)
    target = random.integers(0, 3, 9) if link == "softmax" else random.random((9, 3)).astype(np.float32)
    weight = random.random(9).astype(np.float32) if weighed else None
    found = loss_of(torch.from_numpy(logits), torch.from_numpy(target), link, None if weight is None else torch.from_numpy(weight))
    assert float(found) == pytest.approx(mean_loss(logits, target, link, weight), rel=1e-5)


def test_shares_of_the_classes_are_a_target_too() -> None:
    logits, classes = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0, 1])
    shares = torch.nn.functional.one_hot(classes, 4).float()
    assert float(loss_of(logits, shares, "softmax")) == pytest.approx(float(loss_of(logits, classes, "softmax")))


def test_steps_rise_for_a_tenth_and_then_fall_to_zero() -> None:
    sizes = [slope(step, 100) for step in range(100)]
    assert sizes.index(max(sizes)) in (9, 10)
    assert max(sizes) == pytest.approx(1.0)
    assert 0 < sizes[-1] < 0.02
    assert slope(0, 1) == 1.0


def test_matrices_alone_decay_and_only_what_may_be_learnt_moves() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    net[1].requires_grad_(False)
    groups = adamw(net, 0.1, 0.5).param_groups
    assert [(group["weight_decay"], [p.shape for p in group["params"]]) for group in groups] == [(0.5, [(3, 2)]), (0.0, [(3,)])]
