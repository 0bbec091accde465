"""A trainee small enough for a test: a hidden layer with dropout over a few numbers, which notes what it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from penjing.core.protocols import Fitting, Silent
from penjing.core.types import NDArray, Spec
from penjing.training.descent import losses_of
from penjing.training.loop import Judged, judged, learn
from penjing.training.regime import Regime

COUNT = 120


class Tiny:
    """A `Trainee` of two classes."""

    spec = Spec(2, "softmax")
    operations = 10.0
    divisible = True

    def __init__(self, seed: int = 0, dropout: float = 0.2, held_out: int = 60) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 2))
        random = np.random.default_rng(1)
        self.x = random.normal(size=(COUNT, 3)).astype(np.float32)
        self.target = (self.x[:, 0] * self.x[:, 1] > 0).astype(np.int64)
        self.held_x, self.held_target = self.x[:held_out] + np.float32(0.05), self.target[:held_out]
        self.count, self.sizes = COUNT, np.ones(COUNT, np.int64)
        self.asked: list[tuple[int, NDArray]] = []
        self.judged: list[Judged] = []

    def losses(self, rows: NDArray, epoch: int) -> Any:
        assert self.net.training
        self.asked.append((epoch, rows))
        return losses_of(self.net(torch.from_numpy(self.x[rows])), torch.from_numpy(self.target[rows]), "softmax")

    def validated(self) -> Judged:
        assert not self.net.training
        assert not torch.is_grad_enabled()
        self.judged.append(judged(self.net(torch.from_numpy(self.held_x)).numpy(), self.held_target, self.spec))
        return self.judged[-1]

    def scale_output(self, factor: float) -> None:
        self.net[3].weight.mul_(factor)
        self.net[3].bias.mul_(factor)

    @property
    def weights(self) -> bytes:
        return b"".join(tensor.numpy().tobytes() for tensor in self.net.state_dict().values())


@dataclass
class Told(Silent):
    """What the user and the curve are told."""

    said: list[str] = field(default_factory=list)
    points: list[Any] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def tell(self, name: str, point: Any) -> None:
        self.points.append(point)


@pytest.fixture(scope="session", name="Tiny")
def tiny_class() -> type[Tiny]:
    return Tiny


@pytest.fixture(name="told")
def told_fixture() -> Told:
    return Told()


@pytest.fixture
def descend(tmp_path: Path, told: Told) -> Callable[..., Tiny]:
    """Learn a `Tiny` by a regime given as keywords; `folder` for its checkpoints, `fitting` for fields of that."""

    def run(trainee: Any = None, folder: str = "run", fitting: dict[str, Any] | None = None, first: Judged | None = None, **regime: Any) -> Any:
        trainee = trainee or Tiny()
        given = {"epochs": 4, "learning_rate": 0.05, "batch_size": 16, **regime}
        made = {"seed": 0, "progress": told, "checkpoints": tmp_path / folder, "cache": tmp_path, "tell": told.tell, **(fitting or {})}
        learn(trainee, Regime(**given), Fitting(**made), "tiny", first=first)
        return trainee

    return run
