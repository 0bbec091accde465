"""An encoder cut at its layers computes what it computes whole, in every family that is said to allow it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from penjing.core.errors import RunFailed
from penjing.core.types import Batch, NDArray, Ragged, Spec
from penjing.plugins.learners.transformer.planning import _CUT
from penjing.training.texts.encoder import Encoder
from penjing.training.texts.segments import check_cuts

SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
CLOSE = 1e-5
"""Float32 sums of some tens of values near one, in another order."""


def body(family: str) -> Any:
    special = {"electra": {"embedding_size": 8}, "distilbert": {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32}}
    config = transformers.AutoConfig.for_model(family, **{**SIZES, **special.get(family, {})}, max_position_embeddings=40)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return transformers.AutoModel.from_config(config)


def encoder(family: str, exits: tuple[int, ...] = (1, 2)) -> Encoder:
    random = np.random.default_rng(0)
    made = Encoder(body(family), {"logits": Spec(3, "softmax")})
    made.set_head(random.normal(size=(3, 16)), random.normal(size=3))
    made.set_exits({depth: (random.normal(size=(3, 16)), random.normal(size=3)) for depth in exits})
    return made


def batch() -> Batch:
    random = np.random.default_rng(1)
    return {"input_ids": Ragged.of([random.integers(5, 50, n) for n in (1, 9, 30, 0, 4, 30, 2)], np.int32)}


def array(batch: Batch, name: str) -> NDArray:
    found = batch[name]
    return found.values if isinstance(found, Ragged) else found


@pytest.mark.parametrize("family", _CUT)
def test_every_family_that_planning_lets_pass_can_be_cut(family: str) -> None:
    cut, whole = encoder(family), encoder(family, ())
    check_cuts(cut.body)
    assert np.abs(array(cut.chain.run(batch()), "logits") - array(whole.chain.run(batch()), "logits")).max() < CLOSE


@pytest.mark.parametrize("family", ["distilbert", "xlm-roberta-xl"])
def test_a_body_that_does_more_than_layer_after_layer_is_refused(family: str) -> None:
    with pytest.raises(RunFailed, match="cannot have early exits"):
        check_cuts(body(family))


def test_going_on_from_a_state_is_the_same_as_beginning_again() -> None:
    chain = encoder("bert").chain
    first = chain.exits["exit-1"].run(batch())
    second = chain.exits["exit-2"].run(batch())
    on = chain.exits["exit-2"].run({**batch(), "state-1": first["state-1"]})
    for name in ("logits", "state-2"):
        assert np.abs(array(on, name) - array(second, name)).max() < CLOSE
    whole = array(chain.run(batch()), "logits")
    for held in (first, second, {**first, **second}):
        on = chain.run({**batch(), **{name: held[name] for name in held if name != "logits"}})
        assert list(on) == ["logits"]
        assert np.abs(array(on, "logits") - whole).max() < CLOSE


def test_the_steps_end_with_what_is_answered() -> None:
    made = encoder("bert")
    for chain, names in ((made.chain, 3), (made.chain.exits["exit-1"], 1)):
        steps = dict(chain.layers(batch()))
        assert list(steps) == ["embeddings", *(f"layer {i + 1}" for i in range(names)), "pooled", "head"]
        assert np.abs(steps["head"] - array(chain.run(batch()), "logits")).max() < CLOSE
        assert np.abs(steps["pooled"] - steps[f"layer {names}"]).max() < CLOSE


def test_a_body_in_one_piece_shows_the_same_steps() -> None:
    whole, cut = (dict(encoder("bert", exits).chain.layers(batch())) for exits in ((), (1, 2)))
    assert list(whole) == list(cut)
    for name, values in whole.items():
        assert np.abs(values - cut[name]).max() < CLOSE
    assert [name for name, _ in encoder("distilbert", ()).chain.layers(batch())] == list(cut)
