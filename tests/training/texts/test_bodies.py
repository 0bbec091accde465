"""Bodies that begin from nothing: answers depend on a text alone, and what is saved opens again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from penjing.core.types import NDArray, Ragged, Spec, take
from penjing.training.texts.bodies import begun, reading
from penjing.training.texts.encoder import Encoder, opened

ALL = ["transformer", "lstm", "gru", "cnn", "mlp"]
LENGTHS = (5, 1, 17, 0, 9)


def made(architecture: str, **options: Any) -> Any:
    return begun(architecture, 300, 32, 2, 40, **options)


def texts() -> dict[str, Any]:
    random = np.random.default_rng(1)
    return {"input_ids": Ragged.of([random.integers(4, 300, length) for length in LENGTHS], np.int32)}


def answers(encoder: Encoder, batch: Any) -> NDArray:
    return np.asarray(encoder.chain.run(batch)["logits"])


@pytest.mark.parametrize("architecture", ALL)
def test_a_text_is_answered_alike_in_any_company(architecture: str) -> None:
    encoder = Encoder(made(architecture), {"logits": Spec(3, "softmax")})
    alone = np.concatenate([answers(encoder, take(texts(), np.array([i]))) for i in range(len(LENGTHS))])
    assert np.abs(alone - answers(encoder, texts())).max() < 1e-6
    assert alone.std(axis=0).min() > 1e-3, "different texts have different answers"


@pytest.mark.parametrize("architecture", ALL)
def test_what_is_saved_opens_to_the_same_answers(architecture: str, tmp_path: Path) -> None:
    encoder = Encoder(made(architecture), {"logits": Spec(3, "softmax")})
    encoder.save(tmp_path)
    assert np.array_equal(answers(opened(tmp_path), texts()), answers(encoder, texts()))


def test_a_process_that_learnt_nothing_opens_it_too(tmp_path: Path) -> None:
    Encoder(made("gru"), {"logits": Spec(3, "softmax")}).save(tmp_path)
    program = (
        f"from pathlib import Path; from penjing.training.texts.encoder import opened; print(type(opened(Path({str(tmp_path)!r})).body).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "TextBody", done.stderr


@pytest.mark.parametrize("architecture", ALL)
def test_weights_are_drawn_by_the_seed_alone(architecture: str) -> None:
    drawn = []
    for seed, before in ((0, 1), (0, 2), (3, 2)):
        torch.manual_seed(before)
        drawn.append(torch.cat([p.flatten() for p in made(architecture, seed=seed).parameters()]))
        assert torch.initial_seed() == before, "the chance of others is left alone"
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("architecture", ["transformer", "lstm", "gru"])
def test_a_causal_reading_sees_nothing_of_what_follows(architecture: str) -> None:
    read = reading(made(architecture, bidirectional=False), "f32", causal=True)
    ids, other = np.arange(10, 20), np.arange(10, 20)
    other[7:] = 99
    with torch.inference_mode():
        ours, theirs = (read(Ragged.of([part], np.int32)) for part in (ids, other))
    assert torch.allclose(ours[:7], theirs[:7], atol=1e-6)
    assert not torch.allclose(ours[7:], theirs[7:], atol=1e-2)


@pytest.mark.parametrize("architecture", ["lstm", "cnn", "mlp"])
def test_what_sees_both_sides_is_not_called_causal(architecture: str) -> None:
    with pytest.raises(ValueError, match="cannot learn to say what follows"):
        reading(made(architecture), "f32", causal=True)


@pytest.mark.parametrize("architecture", ALL)
def test_units_are_left_out_while_learning_and_never_when_judged(architecture: str) -> None:
    body, ids = made(architecture, dropout=0.5), texts()["input_ids"]
    read, whole = reading(body, "f32", dropout=0.5), reading(body, "f32")
    with torch.inference_mode():
        judged = read(ids)
        assert torch.equal(judged, whole(ids))
    assert torch.allclose(whole(ids), judged, atol=1e-6), "nothing is left out where no dropout is asked for"
    assert not torch.allclose(read(ids), judged, atol=1e-2)
    assert not body.training
