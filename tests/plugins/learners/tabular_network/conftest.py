"""Encoded rows of a made-up table, and a network learnt from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Link, Spec
from penjing.plugins.learners.tabular_network.learner import TabularNetwork
from penjing.plugins.learners.tabular_network.options import Options

Fit = Callable[..., TabularNetwork]


def table(count: int, seed: int, link: Link = "softmax", numbers: int = 3, codes: int = 2) -> Examples:
    """The answer is whether the first number lies within a band, or the first code says so; the rest is noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, numbers)).astype(np.float32)
    c = random.integers(2, 7, (count, codes)).astype(np.int32)
    yes = (np.abs(x[:, 0]) < 0.7) if numbers else c[:, 0] > 3
    yes = np.where(c[:, 0] == 3, True, yes) if codes else yes
    target = yes.astype(np.int64) if link == "softmax" else np.stack([yes, ~yes], axis=1).astype(np.float32)
    return Examples({"numbers": x, "codes": c}, target)


@pytest.fixture(scope="session", name="table")
def table_fixture() -> Callable[..., Examples]:
    return table


@pytest.fixture(scope="session")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    def learnt(
        link: Link = "softmax", train: Examples | None = None, validation: Examples | None = None, seed: int = 0, **options: Any
    ) -> TabularNetwork:
        folder = tmp_path_factory.mktemp("run")
        small = {"width": 16, "layers": 2, "epochs": 3, "batch_size": 32, "dropout": 0.1}
        given = Options(**{**small, "learning_rate": 0.01, "precision": "f32", **options})
        learner = TabularNetwork.create(given, {"logits": Spec(2, link)})
        fitting = Fitting(seed, Silent(), folder / "checkpoints", folder / "cache")
        train = train or table(300, 1, link)
        learner.fit(train, validation or train, fitting)
        return learner

    return learnt
