"""A made-up table, encoded, and a search over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core.allowance import Allowance
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Spec
from penjing.plugins.learners.search.learner import Search

Made = Callable[..., Examples]


class Heard(Silent):
    """A progress that remembers what is said."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


@pytest.fixture(scope="session")
def made() -> Made:
    def table(count: int, seed: int = 0, link: str = "softmax") -> Examples:
        """The answer is a noisy wave of the first number."""
        random = np.random.default_rng(seed)
        numbers, codes = random.normal(size=(count, 3)).astype(np.float32), random.integers(2, 6, (count, 1)).astype(np.int32)
        signal = np.sin(3 * numbers[:, 0]) + 0.5 * random.normal(size=count)
        return Examples(
            {"numbers": numbers, "codes": codes}, (signal > 0).astype(np.int64) if link == "softmax" else signal[:, None].astype(np.float32)
        )

    return table


@pytest.fixture(scope="session")
def nothing(made: Made) -> Examples:
    return Examples(*made(1).batch(np.zeros(0, np.int64)))


@pytest.fixture
def search(made: Made, tmp_path: Path) -> Callable[..., Search]:
    def learnt(
        learner: str = "boosted-trees",
        validation: Examples | None = None,
        heard: Heard | None = None,
        folder: Path | None = None,
        allowance: Allowance | None = None,
        seed: int = 0,
        count: int = 300,
        of: dict[str, Any] | None = None,
        **options: Any,
    ) -> Search:
        small = {"trees": 20, "patience": 5} if learner == "boosted-trees" else {}
        given = Search.Options(of={"learner": learner, **small, **(of or {})}, **options)
        made_here = Search.create(given, {"logits": Spec(2, "softmax")})
        place = folder or tmp_path / f"{len(list(tmp_path.iterdir()))}"
        place.mkdir(exist_ok=True, parents=True)
        fitting = Fitting(seed, heard or Silent(), place, place, allowance=allowance or Allowance())
        made_here.fit(made(count, 1), made(200, 2) if validation is None else validation, fitting)
        return made_here

    return learnt


@pytest.fixture
def heard() -> Heard:
    return Heard()
