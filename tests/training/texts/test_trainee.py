"""An encoder over texts as the loop sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tiny
from penjing.core.examples import Examples
from penjing.core.types import Ragged, Spec
from penjing.training.texts.encoder import Encoder
from penjing.training.texts.packed import reader
from penjing.training.texts.trainee import Learnt, Texts


def encoder() -> Encoder:
    return Encoder(tiny.body(), {"logits": Spec(3, "softmax")})


def examples(count: int = 12, weight: Any = None) -> Examples:
    random = np.random.default_rng(0)
    ids = Ragged.of([random.integers(5, 50, random.integers(1, 20)) for _ in range(count)], np.int32)
    return Examples({"input_ids": ids}, np.arange(count) % 3, weight)


def trainee(**more: Any) -> Texts:
    whole = encoder()
    return Texts(whole, reader(whole.body, "f32"), examples(**{k: more.pop(k) for k in ("weight",) if k in more}), examples(6), **more)


def test_losses_are_of_each_text_and_count_as_its_weight_says() -> None:
    rows, weight = np.array([3, 1, 7]), np.arange(12, dtype=np.float32)
    alike, weighed = trainee().losses(rows, 1), trainee(weight=weight).losses(rows, 1)
    assert alike.shape == (3,)
    assert torch.allclose(weighed, alike * torch.tensor([3.0, 1.0, 7.0]))


def test_answers_do_not_depend_on_what_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trainee().logits()
    monkeypatch.setattr("penjing.training.texts.trainee.TOKENS", 20)
    assert np.allclose(trainee().logits(), whole, atol=1e-5)


def test_a_checkpoint_holds_what_is_learnt_and_nothing_else() -> None:
    whole = encoder()
    whole.body.requires_grad_(False)
    whole.body.encoder.layer[1].requires_grad_(True)
    held = Learnt(whole).state_dict()
    assert {name.split("/")[0] for name in held} == {"body", "head"}
    assert all("layer/1" in name for name in held if name.startswith("body"))
    assert sum(p.numel() for p in held.values()) == sum(p.numel() for p in whole.parameters() if p.requires_grad)


def test_the_operations_of_a_token_are_those_of_its_layers() -> None:
    made = trainee()
    seen = (made.sizes.astype(float) ** 2).sum() / made.sizes.sum()
    products = 2 * (4 * 32 * 32 + 2 * 32 * 48)  # two layers
    assert made.operations == pytest.approx(3 * (2 * products + 4 * seen * 32 * 2))


def test_what_is_learnt_from_goes_where_the_weights_are() -> None:
    """Tensors of the device "meta" hold nothing, and refuse to be put together with any that are on the processor."""
    made = trainee(weight=np.ones(12, np.float32), mixup=0.3, label_smoothing=0.1)
    made.encoder.to("meta")
    losses = made.losses(np.arange(5), 1)
    losses.sum().backward()
    assert losses.device.type == "meta"
