"""A body learns the language of texts without labels; what it learnt is kept, and every option of it counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from penjing.core.allowance import Allowance
from penjing.core.curve import Point
from penjing.core.errors import DataError
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Ragged
from penjing.training import loop
from penjing.training.texts.bodies import begun, reading
from penjing.training.texts.guessing import Language
from penjing.training.texts.language import LanguageTrainee
from penjing.training.texts.pretraining import pretrain
from penjing.training.texts.pretraining_options import Pretraining

SIZE, LANGUAGE = 24, Language(24, 3, (0, 1, 2, 3))
Learn = Callable[..., Any]


class Heard(Silent):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


def texts(count: int = 60, seed: int = 0) -> Examples:
    """Return texts that go round and round through the five tokens of one of four subjects."""
    random = np.random.default_rng(seed)
    counted = [4 + 5 * random.integers(4) + (random.integers(5) + np.arange(random.integers(6, 14))) % 5 for _ in range(count)]
    return Examples({"input_ids": Ragged.of([[1, *part, 2] for part in counted], np.int32)}, np.zeros(count, np.int64))


@pytest.fixture
def learn(tmp_path: Path) -> Learn:
    """Return what pre-trains a small body and returns it, with what was said and told."""

    def run(
        parts: Any = None, folder: str = "run", allowance: Allowance | None = None, seed: int = 0, architecture: str = "transformer", **options: Any
    ) -> Any:
        heard, told = Heard(), []
        given = Pretraining.model_validate({"objective": "masked", "epochs": 2, "learning_rate": 1e-2, "batch_size": 8, **options})
        body = begun(architecture, SIZE, 32, 1, 20, bidirectional=given.objective != "causal")
        place = tmp_path / folder
        fitting = Fitting(seed, heard, place / "checkpoints", place / "cache", tell=lambda name, point: told.append((name, point)))
        fitting = fitting if allowance is None else replace(fitting, allowance=allowance)
        read = reading(body, "f32", causal=given.objective == "causal")
        pretrain(body, parts or [texts()], given, "f32", fitting, "the body", LANGUAGE, 2048, read)
        body.heard, body.told = heard.sentences, told
        return body

    return run


def weights(body: Any) -> Any:
    return torch.cat([p.detach().flatten() for p in body.parameters()])


def perplexities(body: Any) -> tuple[float, float]:
    losses = [point.validation_loss for _, point in body.told if point.validation_loss is not None]
    return math.exp(losses[0]), math.exp(min(losses))


@pytest.mark.parametrize(
    ("architecture", "objective"), [("transformer", "masked"), ("transformer", "causal"), ("gru", "masked"), ("gru", "causal"), ("cnn", "masked")]
)
def test_the_perplexity_of_texts_held_out_falls(learn: Learn, architecture: str, objective: str) -> None:
    body = learn([texts(200)], architecture=architecture, objective=objective, epochs=6, share=0.25)
    before, after = perplexities(body)
    # 20 tokens are alike in number; who knows the subject chooses among 5.
    assert before > 15
    assert after < 7
    assert f"perplexity {before:,.1f} before, {after:,.1f} after" in body.heard[-1]
    assert "on 20 texts held out" in body.heard[-1]
    assert not body.training


def test_the_curve_begins_with_what_the_body_knew(learn: Learn) -> None:
    (name, first), *rest = learn().told
    assert (name, first.step, first.epoch) == ("pre-training", 0, 0.0)
    assert isinstance(first, Point)
    assert [point.epoch for _, point in rest if point.validation_loss is not None] == [1.0, 2.0]


def test_nothing_is_learnt_where_nothing_is_asked_for(learn: Learn) -> None:
    body = learn(objective="none")
    assert torch.equal(weights(body), weights(begun("transformer", SIZE, 32, 1, 20)))
    assert body.heard == []


@pytest.mark.parametrize("change", [{"objective": "causal"}, {"epochs": 1}, {"learning_rate": 1e-3}, {"batch_size": 4}, {"share": 0.4}, {"seed": 1}])
def test_every_option_changes_what_is_learnt(learn: Learn, change: dict[str, Any]) -> None:
    other = learn(folder="other", architecture="transformer", **change)
    assert not torch.equal(weights(learn()), weights(other))


def test_texts_without_labels_count(learn: Learn) -> None:
    alone, more = learn(folder="alone"), learn([texts(), texts(200, seed=9)], folder="more")
    assert "on 54 texts" in alone.heard[-1]
    assert "on 234 texts" in more.heard[-1]
    assert perplexities(more)[1] < perplexities(alone)[1]


def test_what_was_learnt_is_kept_and_not_learnt_again(learn: Learn) -> None:
    first, again = learn(), learn()
    assert torch.equal(weights(first), weights(again))
    assert again.heard == ["Pre-training on these texts was done before, and is not done again."]
    assert again.told == []
    assert "perplexity" in learn(epochs=1).heard[-1], "other options are other work"
    assert "perplexity" in learn([texts(seed=1)]).heard[-1], "and so are other texts"


def test_a_killed_run_goes_on_to_the_same_bits(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = learn(folder="undisturbed")
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "_WRITING", 1e9)
    losses, steps = LanguageTrainee.losses, iter(range(1000))

    def dying(trainee: LanguageTrainee, *asked: Any) -> Any:
        if next(steps) == 10:
            raise KeyboardInterrupt
        return losses(trainee, *asked)

    with monkeypatch.context() as killed:
        killed.setattr(LanguageTrainee, "losses", dying)
        with pytest.raises(KeyboardInterrupt):
            learn(folder="killed")
    resumed = learn(folder="killed")
    assert torch.equal(weights(resumed), weights(undisturbed))
    assert min(point.step for _, point in resumed.told) >= 10, "what was done is not done again, and the beginning is not told twice"


def test_it_leaves_a_part_of_what_may_be_spent_to_the_task(learn: Learn) -> None:
    drawn = iter(np.arange(0.0, 1e6, 10.0))
    body = learn(allowance=Allowance(joules=100.0, drawn=lambda: next(drawn)), epochs=50)
    assert "its energy (60 J) is used up" in body.heard[0]
    assert "perplexity" in body.heard[1]


def test_what_an_allowance_cut_short_is_not_kept_for_other_runs(learn: Learn, tmp_path: Path) -> None:
    learn(allowance=Allowance(seconds=1e6))
    assert not list((tmp_path / "run" / "cache").glob("*"))
    assert learn(allowance=Allowance(seconds=1e6)).heard == ["Pre-training on these texts was done before, and is not done again."]


def test_a_handful_of_texts_is_refused(learn: Learn) -> None:
    few = Examples({"input_ids": Ragged.of([[1, 5, 6, 2]] * 7 + [[1, 2]] * 20, np.int32)}, np.zeros(27, np.int64))
    with pytest.raises(DataError, match="at least 8 texts of some words, and there are 7"):
        learn([few])
