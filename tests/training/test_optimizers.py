"""Each rule of a step does what its formula says; matrices alone decay."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from penjing.core.types import NDArray
from penjing.training.optimizers import Lion, made
from penjing.training.regime import Regime

NAMES = get_args(Regime.model_fields["optimizer"].annotation)


def walked(optimizer: Any, parameters: list[Any], steps: int = 5) -> list[NDArray]:
    """Return the parameters after some steps down a bent valley."""
    for step in range(steps):
        optimizer.zero_grad()
        sum(((p - 0.3 * step) ** 2).sum() * (i + 1) for i, p in enumerate(parameters)).backward()
        optimizer.step()
    return [p.detach().numpy().copy() for p in parameters]


def parameters() -> list[Any]:
    random = np.random.default_rng(0)
    return [torch.from_numpy(random.normal(size=shape).astype(np.float32)).requires_grad_() for shape in ((3, 4), (4,), (2, 2, 2))]


@pytest.mark.parametrize("name", NAMES)
def test_each_name_has_a_rule_of_its_own_that_goes_down(name: str) -> None:
    regime = Regime(optimizer=name, learning_rate=0.05, weight_decay=0.0)
    start = parameters()
    away = sum(float((p.detach() ** 2).sum()) for p in start)
    assert all(np.isfinite(p).all() for p in walked(made(start, regime), start, 40))
    still = parameters()
    optimizer = made(still, regime)
    for _ in range(200):
        optimizer.zero_grad()
        sum((p**2).sum() for p in still).backward()
        optimizer.step()
    assert sum(float((p.detach() ** 2).sum()) for p in still) < 0.2 * away


def test_no_two_names_walk_alike() -> None:
    ends = []
    for name in NAMES:
        start = parameters()
        ends.append(walked(made(start, Regime(optimizer=name, learning_rate=0.01, weight_decay=0.1)), start)[0].tobytes())
    assert len(set(ends)) == len(NAMES) == 6


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adamw", lambda p, decay: torch.optim.AdamW(p, 0.01, weight_decay=decay, foreach=False, fused=False)),
        ("adam", lambda p, decay: torch.optim.Adam(p, 0.01, weight_decay=decay, foreach=False, fused=False)),
        ("sgd", lambda p, decay: torch.optim.SGD(p, 0.01, weight_decay=decay, foreach=False, fused=False)),
        ("momentum", lambda p, decay: torch.optim.SGD(p, 0.01, 0.9, weight_decay=decay, nesterov=True, foreach=False, fused=False)),
        ("rmsprop", lambda p, decay: torch.optim.RMSprop(p, 0.01, weight_decay=decay, foreach=False)),
    ],
)
def test_a_rule_of_torch_is_torchs_own_with_decay_on_matrices_alone(name: str, reference: Any) -> None:
    ours, theirs = parameters(), parameters()
    found = walked(made(ours, Regime(optimizer=name, learning_rate=0.01, weight_decay=0.1)), ours)
    matrices, others = reference([theirs[0], theirs[2]], 0.1), reference([theirs[1]], 0.0)

    class Both:
        def zero_grad(self) -> None:
            matrices.zero_grad()
            others.zero_grad()

        def step(self) -> None:
            matrices.step()
            others.step()

    for one, other in zip(found, walked(Both(), theirs), strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-7)


def test_lion_is_algorithm_2_of_its_paper() -> None:
    rate, decay, (first, second) = 0.01, 0.1, (0.9, 0.99)
    start = parameters()
    expected = [p.detach().numpy().astype(np.float64) for p in start]
    momenta = [np.zeros_like(p) for p in expected]
    for step in range(5):
        for i, p in enumerate(expected):
            gradient = 2 * (p - 0.3 * step) * (i + 1)
            direction = np.sign(first * momenta[i] + (1 - first) * gradient)
            expected[i] = p - rate * (direction + (decay if p.ndim >= 2 else 0.0) * p)
            momenta[i] = second * momenta[i] + (1 - second) * gradient
    found = walked(made(start, Regime(optimizer="lion", learning_rate=rate, weight_decay=decay)), start)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_lion_leaves_what_has_no_gradient() -> None:
    one, other = torch.ones(2, 2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = Lion([{"params": [one, other], "weight_decay": 0.5}], 0.1)
    (one.sum() * 3).backward()
    optimizer.step()
    assert torch.equal(other.detach(), torch.ones(2))
    assert one.detach().numpy() == pytest.approx(np.full((2, 2), 0.85))
