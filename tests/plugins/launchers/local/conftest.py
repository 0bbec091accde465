"""A launcher's plugins for tests, a made-up table, and what a run hears."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penjing.plugins.learners as place
from penjing.core import plugins
from penjing.core.allowance import Allowance
from penjing.core.curve import Point
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import NDArray, Spec
from penjing.plugins.launchers.local.launcher import Local

PLUGINS = Path(__file__).parent / "plugins"
OUTPUTS = {"logits": Spec(2, "softmax")}
SMALL = {"width": 16, "layers": 2, "epochs": 4, "batch_size": 32, "dropout": 0.0, "learning_rate": 0.01, "precision": "f32"}


@dataclass
class Heard(Silent):
    """A Progress that remembers."""

    said: list[str] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    done: float = 0.0

    def advance(self, done: float, note: str = "") -> None:
        self.done += done

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def tell(self, name: str, point: Point) -> None:
        self.points.append(point)


@dataclass
class Learnt:
    answers: NDArray
    heard: Heard
    folder: Path


def table(count: int, seed: int) -> Examples:
    """The answer is whether the first number lies within a band."""
    x = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return Examples({"numbers": x, "codes": np.zeros((count, 0), np.int32)}, (np.abs(x[:, 0]) < 0.7).astype(np.int64))


@pytest.fixture(scope="module", autouse=True)
def known() -> Iterator[None]:
    """The plugins beside this file, to this process and those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_PLUGINS", str(PLUGINS))
        patch.setattr(place, "__path__", list(place.__path__))
        plugins._files.cache_clear()
        yield
    plugins._files.cache_clear()


@pytest.fixture(scope="module")
def learn(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Learnt]:
    """Learn a table by some workers, or by none but this process."""

    def run(workers: int, heard: Heard | None = None, allowance: Allowance | None = None, patience: float = 300.0, **options: Any) -> Learnt:
        folder, heard = tmp_path_factory.mktemp("run"), heard or Heard()
        given = plugins.options("learners", "faulty")(**{**SMALL, **options})
        limits = {} if allowance is None else {"allowance": allowance}
        (folder / "checkpoints").mkdir()
        fitting = Fitting(0, heard, folder / "checkpoints", folder / "cache", tell=heard.tell, **limits)
        if workers:
            learner = Local(workers, 1, patience).fit("faulty", given, OUTPUTS, table(300, 1), table(100, 2), fitting)
        else:
            learner = plugins.load("learners", "faulty").create(given, OUTPUTS)
            learner.fit(table(300, 1), table(100, 2), fitting)
        return Learnt(np.asarray(learner.run(table(200, 9).inputs)["logits"]), heard, folder)

    return run
