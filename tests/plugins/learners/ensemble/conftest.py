"""A made-up table, encoded, and ensembles over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core.allowance import Allowance
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Link, Spec
from penjing.plugins.learners.ensemble.learner import Ensemble

TREES = {"learner": "boosted-trees", "trees": 15, "patience": 15, "learning_rate": 0.2, "leaves": 8}
LINEAR = {"learner": "tabular-linear", "crosses": 0, "iterations": 30, "l2": 1.0, "bins": 16}


class Heard(Silent):
    """A progress that remembers what is said."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="session")
def made() -> Callable[..., Examples]:
    def table(count: int, seed: int = 0, link: Link = "softmax", width: int = 2) -> Examples:
        """The answer is a noisy sum of two waves, cut into classes of about one size."""
        random = np.random.default_rng(seed)
        numbers, codes = random.normal(size=(count, 3)).astype(np.float32), random.integers(2, 6, (count, 1)).astype(np.int32)
        signal = np.sin(2 * numbers[:, 0]) + numbers[:, 1] * (codes[:, 0] - 3.5) / 2 + 0.5 * random.normal(size=count)
        classes = np.searchsorted(np.linspace(-1, 1, width + 1)[1:-1], signal).astype(np.int64)
        numbers_of = {"identity": signal[:, None], "sigmoid": np.stack([signal > 0, numbers[:, 2] > 0, signal > 1], axis=1)}
        return Examples({"numbers": numbers, "codes": codes}, classes if link == "softmax" else numbers_of[link].astype(np.float32))

    return table


@pytest.fixture(scope="session")
def nothing(made: Callable[..., Examples]) -> Callable[..., Examples]:
    return lambda **kind: Examples(*made(1, **kind).batch(np.zeros(0, np.int64)))


@pytest.fixture
def ensemble(made: Callable[..., Examples], tmp_path: Path) -> Callable[..., Ensemble]:
    def learnt(
        *of: dict[str, Any],
        train: Examples | None = None,
        validation: Examples | None = None,
        link: Link = "softmax",
        width: int = 2,
        seed: int = 0,
        folder: Path | None = None,
        progress: Any = None,
        allowance: Allowance | None = None,
        **options: Any,
    ) -> Ensemble:
        place = folder or tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        place.mkdir(exist_ok=True, parents=True)
        learner = Ensemble.create(Ensemble.Options(of=list(of or [TREES]), **options), {"logits": Spec(width, link)})
        fitting = Fitting(seed, progress or Silent(), place, place, allowance=allowance or Allowance())
        kind: dict[str, Any] = {"link": link, "width": width}
        learner.fit(train or made(300, 1, **kind), made(200, 2, **kind) if validation is None else validation, fitting)
        return learner

    return learnt


@pytest.fixture(scope="module", autouse=True)
def weighted() -> Iterator[None]:
    """Until these learners have them themselves."""
    from penjing.plugins.learners.transformer.learner import Transformer
    from penjing.training.nets.learner import NetLearner
    from penjing.training.weights import set_weights_of, weights_of

    for kind, net in ((Transformer, lambda self: self.encoder), (NetLearner, lambda self: self._learnt[0])):
        if not hasattr(kind, "weights"):
            kind.weights = lambda self, net=net: weights_of(net(self))
            kind.set_weights = lambda self, weights, net=net: set_weights_of(net(self), weights)
    yield
