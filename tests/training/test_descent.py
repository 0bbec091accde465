"""The losses are those that tiers are judged by."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from penjing.core.statistics import mean_loss
from penjing.core.types import Link
from penjing.training.descent import loss_of, losses_of


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
@pytest.mark.parametrize("weighed", [False, True])
def test_the_loss_is_the_one_that_is_judged_by(link: Link, weighed: bool) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(9, 3)).astype(np.float32)
    target = random.integers(0, 3, 9) if link == "softmax" else random.random((9, 3)).astype(np.float32)
    weight = random.random(9).astype(np.float32) if weighed else None
    told = None if weight is None else torch.from_numpy(weight)
    found = losses_of(torch.from_numpy(logits), torch.from_numpy(target), link, told)
    assert found.shape == (9,)
    assert float(found.mean()) == pytest.approx(mean_loss(logits, target, link, weight), rel=1e-5)
    assert float(found.mean()) == float(loss_of(torch.from_numpy(logits), torch.from_numpy(target), link, told))


def test_shares_of_the_classes_are_a_target_too() -> None:
    logits, classes = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0, 1])
    shares = torch.nn.functional.one_hot(classes, 4).float()
    for smoothing in (0.0, 0.2):
        one, other = (losses_of(logits, target, "softmax", label_smoothing=smoothing) for target in (shares, classes))
        assert one.numpy() == pytest.approx(other.numpy(), rel=1e-6)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_smoothing_gives_a_share_of_the_target_to_all_alike(link: Link) -> None:
    random = np.random.default_rng(0)
    logits, target = random.normal(size=(9, 4)).astype(np.float32), np.eye(4, dtype=np.float32)[random.integers(0, 4, 9)]
    smooth = target * 0.7 + 0.3 / (4 if link == "softmax" else 2)
    found = losses_of(torch.from_numpy(logits), torch.from_numpy(target), link, label_smoothing=0.3)
    assert float(found.mean()) == pytest.approx(mean_loss(logits, smooth, link), rel=1e-5)
