"""Averages are what numpy makes of the same weights, and stand in for them only for a while."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from penjing.core.types import NDArray
from penjing.training.averages import Average
from penjing.training.regime import Regime

STEPS = 40


def drawn() -> NDArray:
    return np.random.default_rng(0).normal(size=(STEPS, 3, 2)).astype(np.float32)


def followed(how: str, decay: float = 0.8, until: int = STEPS) -> tuple[Average, dict[str, torch.Tensor]]:
    weights = {"w": torch.zeros(3, 2), "seen": torch.tensor(0)}
    average = Average(weights, Regime(average=how, ema_decay=decay))
    for step, values in enumerate(drawn()[:until]):
        weights["w"].copy_(torch.from_numpy(values))
        average.add(step, STEPS)
    return average, weights


def test_the_moving_average_begins_as_a_plain_one() -> None:
    mean = drawn()[0].astype(np.float64)
    for i, values in enumerate(drawn()[1:], 2):
        share = max(0.2, 1 / i)
        mean = (1 - share) * mean + share * values
    assert followed("ema")[0].state()["w"].numpy() == pytest.approx(mean, abs=1e-6)
    assert followed("ema", until=4)[0].state()["w"].numpy() == pytest.approx(drawn()[:4].mean(axis=0), abs=1e-6)


def test_swa_is_the_mean_over_the_last_quarter_of_the_steps() -> None:
    assert followed("swa")[0].state()["w"].numpy() == pytest.approx(drawn()[30:].mean(axis=0), abs=1e-6)
    assert not followed("swa", until=30)[0].state()


def test_it_stands_in_for_the_weights_for_a_while() -> None:
    average, weights = followed("swa")
    with average.in_place():
        assert torch.equal(weights["w"], average.state()["w"])
    assert np.array_equal(weights["w"].numpy(), drawn()[-1])


def test_none_averages_nothing() -> None:
    average, weights = followed("none")
    assert not average.state()
    with average.in_place():
        assert np.array_equal(weights["w"].numpy(), drawn()[-1])


def test_it_goes_on_from_what_was_kept() -> None:
    whole, _ = followed("ema")
    half, weights = followed("ema", until=20)
    other = Average(weights, Regime(average="ema", ema_decay=0.8))
    other.restore({name: tensor.clone() for name, tensor in half.state().items()}, half.count)
    for step, values in enumerate(drawn()[20:], 20):
        weights["w"].copy_(torch.from_numpy(values))
        other.add(step, STEPS)
    assert torch.equal(other.state()["w"], whole.state()["w"])


def test_the_layout_in_memory_is_the_weights_own() -> None:
    weights = {"w": torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)}
    average = Average(weights, Regime(average="ema"))
    average.restore({"w": torch.arange(96.0).reshape(2, 3, 4, 4)}, 1)
    assert average.state()["w"].stride() == weights["w"].stride()
    assert torch.equal(average.state()["w"], torch.arange(96.0).reshape(2, 3, 4, 4))
