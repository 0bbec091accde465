"""The canonical losses, against derivatives by differences and closed forms."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from penjing.core.statistics import mean_loss
from penjing.core.types import Link, NDArray, Spec
from penjing.training.losses import prior, residual_of, scaled

RNG = np.random.default_rng(0)
B, C = 5, 3


def targets(link: Link, kind: str = "") -> NDArray:
    if kind == "shares":
        return RNG.dirichlet(np.ones(C), B).astype(np.float32)
    return RNG.integers(0, C, B) if link == "softmax" else (RNG.integers(0, 2, (B, C)) if link == "sigmoid" else RNG.normal(size=(B, C)))


@pytest.mark.parametrize(("link", "kind"), [*((link, "") for link in get_args(Link)), ("softmax", "shares")])
def test_the_residual_is_the_derivative_of_the_loss(link: Link, kind: str) -> None:
    """Central differences in float64 are good to about 1e-8; the residual is float32."""
    logits, target = RNG.normal(size=(B, C)), targets(link, kind)
    residual = residual_of(logits.astype(np.float32), target, link)
    # mean_loss is the mean over all numbers for sigmoid and identity, and of the whole square.
    factor = {"softmax": 1.0, "sigmoid": C, "identity": 0.5 * C}[link]
    for i in range(B):
        for c in range(C):
            step = np.zeros_like(logits)
            step[i, c] = 1e-5
            slope = (mean_loss(logits + step, target, link) - mean_loss(logits - step, target, link)) / 2e-5
            assert residual[i, c] == pytest.approx(slope * factor, abs=1e-5)


def test_the_prior_is_what_a_model_without_features_answers() -> None:
    """With one added to each count, or half a row to each side."""
    assert np.exp(prior(np.array([0, 0, 2]), Spec(3, "softmax"))) == pytest.approx([3 / 6, 1 / 6, 2 / 6])
    assert np.exp(prior(np.array([[0.5, 0.5, 0], [0, 0.5, 0.5]], np.float32), Spec(3, "softmax"))) == pytest.approx([1.5 / 5, 2 / 5, 1.5 / 5])
    assert prior(np.array([[1, 0], [1, 0], [0, 0]], np.float32), Spec(2, "sigmoid")) == pytest.approx(np.log([2.5 / 1.5, 0.5 / 3.5]))
    assert prior(np.array([[1.0], [3.0]], np.float32), Spec(1, "identity")) == pytest.approx([2.0])


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_the_scale_puts_a_voice_that_is_too_loud_right(link: Link) -> None:
    """Answers drawn from the logits themselves, which are then made three times as large. Five deviations allowed, seen over 30 draws."""
    random = np.random.default_rng(1)
    signal, bias = random.normal(size=(4000, C)) * 2, np.array([0.5, 0.0, -0.5])
    if link == "softmax":
        target = (signal + bias + random.gumbel(size=signal.shape)).argmax(1)
    else:
        target = (random.logistic(size=signal.shape) < signal + bias).astype(np.float32)
    factor, loss = scaled(signal * 3, bias, target, link)
    assert factor == pytest.approx(1 / 3, abs=0.03)
    assert loss < mean_loss(signal * 3 + bias, target, link)
