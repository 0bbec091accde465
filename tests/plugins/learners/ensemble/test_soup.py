"""Soups of fine-tuned encoders: one model, whose weights are the mean of several."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, Silent
from penjing.core.statistics import mean_loss
from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.ensemble.learner import Ensemble

OUTPUTS = {"logits": Spec(2, "softmax")}
WORDS = ["works", "well", "no", "relief", "very", "the", "doctor", "gave", "me", "this"]
Cooked = Callable[..., Ensemble]


@pytest.fixture(scope="module")
def texts(tiny_bert: Path) -> Callable[..., Examples]:
    def encoded(count: int, seed: int) -> Examples:
        """Texts that say "good" or "bad" and "pain" or "help"; the answer is which two go together, so that a linear head alone does not find it."""
        random = np.random.default_rng(seed)
        one, other = random.integers(0, 2, (2, count))
        target = (one ^ other).astype(np.int64)
        rows = [{"text": f"{random.choice(WORDS)} {('good', 'bad')[i]} {('pain', 'help')[j]}"} for i, j in zip(one, other, strict=True)]
        tokens = plugins.load("processors", "tokens")
        return Examples(tokens(**tokens.options_from(rows, ["text"], {"model": str(tiny_bert), "max_tokens": 32})).encode(rows), target)

    return encoded


@pytest.fixture
def cook(tiny_bert: Path, texts: Callable[..., Examples], tmp_path: Path) -> Cooked:
    def cooked(
        *of: dict[str, Any], validation: Examples | None = None, folder: Path | None = None, progress: Any = None, train: int = 80, **options: Any
    ) -> Ensemble:
        own = {"learner": "transformer", "model": str(tiny_bert), "tune": "full", "max_tokens": 32, "batch_size": 8, "precision": "f32", "epochs": 3}
        given = Ensemble.Options(of=[{**own, "learning_rate": 3e-3, "runtime": "torch-runtime", **one} for one in of or [{}]], how="soup", **options)
        place = folder or tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        place.mkdir(parents=True, exist_ok=True)
        learner = Ensemble.create(given, OUTPUTS)
        learner.fit(texts(train, 1), texts(60, 2) if validation is None else validation, Fitting(0, progress or Silent(), place, place))
        return learner

    return cooked


def weights(member: Any) -> dict[str, NDArray]:
    return dict(member.weights())


def members(folder: Path, count: int) -> list[dict[str, NDArray]]:
    """Return the weights of each fine-tuning of a soup that was learnt in `folder`."""
    inner = importlib.import_module("penjing.core.learning.inner")
    return [weights(inner.opened(folder / f"member-{i}" / "learnt")[1]) for i in range(count)]


def test_a_soup_is_one_model_whose_weights_are_the_mean(cook: Cooked, tmp_path: Path, texts: Callable[..., Examples]) -> None:
    soup = cook(members=3, greedy=False, folder=tmp_path / "here")
    assert len(soup.members) == 1
    alone = members(tmp_path / "here", 3)
    assert not np.array_equal(alone[0]["head.weight"], alone[1]["head.weight"]), "each sees the rows in another order"
    for name, array in weights(soup.members[0][1]).items():
        if np.issubdtype(array.dtype, np.floating):
            np.testing.assert_allclose(array, np.mean([one[name] for one in alone], axis=0), atol=1e-6)
    (tmp_path / "engine").mkdir()
    (tmp_path / "learnt").mkdir()
    assert soup.export(tmp_path / "engine") == "torch-runtime", "it is served as one of its members would be"
    soup.save(tmp_path / "learnt")
    engine, rows = plugins.load("engines", "torch-runtime").open(tmp_path / "engine"), texts(20, 3)
    for answering in (engine, Ensemble.open(tmp_path / "learnt")):
        np.testing.assert_allclose(answering.run(rows.inputs)["logits"], soup.run(rows.inputs)["logits"], atol=1e-5)


@pytest.mark.changes("learners.ensemble.greedy")
def test_a_greedy_soup_leaves_out_what_makes_it_worse(cook: Cooked, tmp_path: Path, texts: Callable[..., Examples]) -> None:
    good, idle, rows = {"epochs": 5}, {"learning_rate": 1e-7, "epochs": 1}, texts(60, 2)
    greedy, uniform = (cook(good, idle, members=2, train=160, greedy=greedy, folder=tmp_path / str(greedy)) for greedy in (True, False))
    alone = members(tmp_path / "True", 2)[0]
    found = weights(greedy.members[0][1])
    assert all(np.array_equal(found[name], alone[name]) for name in alone)
    losses = [mean_loss(np.asarray(one.run(rows.inputs)["logits"]), np.asarray(rows.target), "softmax") for one in (greedy, uniform)]
    assert losses[0] < losses[1]


def test_without_validation_rows_a_soup_is_the_mean_of_all(cook: Cooked, tmp_path: Path, texts: Callable[..., Examples]) -> None:
    nothing = Examples(*texts(1, 0).batch(np.zeros(0, np.int64)))
    soup = cook(members=2, folder=tmp_path / "here", validation=nothing)
    name = "head.bias"
    np.testing.assert_allclose(weights(soup.members[0][1])[name], np.mean([one[name] for one in members(tmp_path / "here", 2)], axis=0), atol=1e-6)


def test_a_soup_of_what_begins_at_random_is_refused(tmp_path: Path) -> None:
    kind = plugins.load("learners", "ensemble")
    options = kind.Options(of=[{"learner": "tabular-network"}], how="soup")
    with pytest.raises(PlanError, match="begins at random"):
        kind.plan(options, [{"age": i} for i in range(20)], ["age"], OUTPUTS, Machine("x", 2, 1 << 34, False), 20)
    with pytest.raises(PlanError, match="begins at random"):
        kind.create(options, OUTPUTS).fit(Examples({}, np.zeros(2)), Examples({}, np.zeros(2)), Fitting(0, Silent(), tmp_path, tmp_path))
