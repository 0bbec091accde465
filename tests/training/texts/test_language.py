"""A language model's losses are those of plain cross-entropy, in one piece or in many, and every guess counts alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from penjing.core.types import Ragged
from penjing.training.texts import language as rooms
from penjing.training.texts.bodies import begun, reading
from penjing.training.texts.guessing import Language
from penjing.training.texts.language import Corpus, Guesser, LanguageTrainee
from penjing.training.texts.pretraining_options import Pretraining

SIZE = 60


def ids(count: int = 12, seed: int = 0) -> Ragged:
    random = np.random.default_rng(seed)
    return Ragged.of([np.concatenate([[1], random.integers(4, SIZE, random.integers(3, 20)), [2]]) for _ in range(count)], np.int32)


def made(objective: str = "masked", precision: str = "f32") -> LanguageTrainee:
    body = begun("transformer", SIZE, 32, 1, 40)
    torch.manual_seed(0)
    options = Pretraining.model_validate({"objective": objective})
    read = reading(body, precision, causal=objective == "causal")
    corpus = Corpus([ids()])
    return LanguageTrainee(Guesser(body, precision), read, corpus, np.arange(9), np.arange(9, 12), Language(SIZE, 3, (0, 1, 2, 3)), options, 0)


def test_texts_of_several_sources_are_one_corpus_without_those_that_hold_nothing() -> None:
    first, second = Ragged.of([[1, 5, 2], [1, 2], [1, 6, 7, 2]], np.int32), Ragged.of([[], [1, 8, 2]], np.int64)
    corpus = Corpus([first, second])
    assert corpus.lengths.tolist() == [3, 4, 3]
    taken = corpus.take(np.array([2, 0]))
    assert [taken[i].tolist() for i in range(2)] == [[1, 8, 2], [1, 5, 2]]


def test_the_output_has_the_weights_of_the_embeddings() -> None:
    net = made().net
    states_MH, right_M = torch.randn(7, 32), torch.arange(7)
    units_ME = net.norm(functional.gelu(net.units(states_MH)))
    logits_MV = units_ME @ net.body.get_input_embeddings().weight.T + net.bias
    losses_M, hits_M = net.losses(states_MH, right_M)
    assert torch.allclose(losses_M, functional.cross_entropy(logits_MV, right_M, reduction="none"), atol=1e-6)
    assert torch.equal(hits_M, logits_MV.argmax(1) == right_M)


def test_many_logits_are_computed_some_at_a_time_and_again_on_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[Any, dict[str, Any]]] = []
    for cells in (1 << 24, 3 * SIZE):
        monkeypatch.setattr(rooms, "_CELLS", cells)
        trainee = made("causal")
        loss_B = trainee.losses(np.arange(4), 1)
        loss_B.sum().backward()
        found.append((loss_B.detach(), {name: p.grad for name, p in trainee.net.named_parameters() if p.grad is not None}))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-6)
    assert found[0][1].keys() == found[1][1].keys()
    for name, gradient in found[0][1].items():
        assert torch.allclose(gradient, found[1][1][name], atol=1e-5), name


@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_a_step_is_the_same_whole_and_in_pieces(objective: str) -> None:
    trainee, rows = made(objective), np.array([4, 0, 7, 2])
    whole_B = trainee.losses(rows, 1)
    pieces_B = torch.cat([trainee.losses(rows[:1], 1), trainee.losses(rows[1:], 1)])
    assert torch.allclose(whole_B, pieces_B, atol=1e-5)


@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_who_knows_nothing_is_as_perplexed_as_there_are_tokens(objective: str) -> None:
    trainee = made(objective)
    with torch.no_grad():
        trainee.net.body.get_input_embeddings().weight.zero_()
    judged = trainee.validated()
    assert judged.loss == pytest.approx(math.log(SIZE), rel=1e-5)
    assert judged.scale == 1.0
    assert trainee.losses(np.arange(9), 1).mean().item() == pytest.approx(math.log(SIZE), rel=0.25), "a step's loss is about that of a guess"


def test_validation_asks_the_same_each_time() -> None:
    trainee = made()
    assert trainee.validated() == trainee.validated()


def test_half_the_digits_are_close() -> None:
    exact, half = made().validated(), made(precision="bf16").validated()
    assert half.loss == pytest.approx(exact.loss, rel=0.01)
