"""The descent of vectors and head, against derivatives by differences and against what it must come to."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from scipy.sparse import csr_array

from penjing.core.statistics import mean_loss
from penjing.core.types import Link, NDArray, Spec
from penjing.plugins.learners.static_embedding.descent import Data, Model, Settings, batches_of, descend, gradients
from penjing.training.losses import prior

LINKS = get_args(Link)
RNG = np.random.default_rng(0)
N, V, D, C = 600, 12, 8, 3
ROWS = csr_array((RNG.random((N, V)) * (RNG.random((N, V)) < 0.4)).astype(np.float32))
TRUTH = RNG.normal(size=(V, C)) * 3
START = RNG.normal(size=(V, D)).astype(np.float32) / np.sqrt(D).astype(np.float32)


def targets(link: Link) -> NDArray:
    logits = ROWS @ TRUTH
    if link == "softmax":
        return np.asarray(logits.argmax(1))
    return ((logits > 0) if link == "sigmoid" else logits).astype(np.float32)


def learnt(link: Link, watched: int = 100, told: list[str] | None = None, target: NDArray | None = None, **changed: float | int) -> Model:
    settings = Settings(**{"rate": 0.3, "epochs": 20, "seed": 0, **changed})  # type: ignore[arg-type]
    target, spec = targets(link) if target is None else target, Spec(C, link)
    held_out, learnt_from = np.arange(watched), np.arange(watched, N)
    data = Data(ROWS[learnt_from], target[learnt_from], ROWS[held_out], target[held_out], spec)
    note = (lambda _, said: told.append(said)) if told is not None else (lambda *_: None)
    return descend(Model(START, np.zeros((D, C), np.float32), prior(target, spec)), data, settings, note)


@pytest.mark.parametrize("link", LINKS)
def test_gradients_are_the_derivatives_of_the_loss(link: Link) -> None:
    """Central differences in float64 are good to about 1e-8; gradients are float32."""
    rows, vectors, head, bias, target = ROWS[:7], START.astype(np.float64), RNG.normal(size=(D, C)), RNG.normal(size=C), targets(link)[:7]
    found = gradients(rows, vectors.astype(np.float32), head.astype(np.float32), bias.astype(np.float32), target, link)
    factor = {"softmax": 1.0, "sigmoid": C, "identity": 0.5 * C}[link]  # mean_loss is the mean over all numbers there, and of the whole square
    for array, gradient in zip((vectors, head), found, strict=True):
        for at in np.ndindex(array.shape):
            sides = []
            for step in (1e-5, -1e-5):
                array[at] += step
                sides.append(mean_loss(rows @ vectors @ head + bias, target, link))
                array[at] -= step
            assert gradient[at] == pytest.approx((sides[0] - sides[1]) / 2e-5 * factor, abs=2e-5)


@pytest.mark.parametrize("link", LINKS)
def test_every_loss_is_brought_down(link: Link) -> None:
    model, target = learnt(link, watched=0, epochs=40), targets(link)
    before = mean_loss(np.tile(prior(target, Spec(C, link)), (N, 1)), target, link)
    assert mean_loss(model.signal(ROWS) + model.bias, target, link) < before / 3


def test_certain_shares_are_learnt_from_as_classes_are() -> None:
    target = targets("softmax")
    models = [learnt("softmax", target=t, epochs=3) for t in (target, np.eye(C, dtype=np.float32)[target])]
    np.testing.assert_allclose(models[0].vectors @ models[0].head, models[1].vectors @ models[1].head, rtol=1e-3, atol=1e-4)


def test_frozen_vectors_stay_as_they_are_and_the_bias_does_anyway() -> None:
    frozen, moved = (learnt("softmax", vectors=vectors) for vectors in (False, True))
    assert np.array_equal(frozen.vectors, START)
    assert not np.array_equal(moved.vectors, START)
    assert np.abs(frozen.head).max() > 0.1
    assert np.array_equal(moved.bias, prior(targets("softmax"), Spec(C, "softmax")))


def test_the_epoch_that_was_best_on_held_out_rows_is_kept() -> None:
    """Labels that mean nothing: the longer it learns, the worse it gets, and it stops early."""
    target, told = np.random.default_rng(1).integers(0, C, N), list[str]()
    learnt("softmax", target=target, told=told, rate=3.0, epochs=50)
    losses = [float(said.removeprefix("loss ")) for said in told if said]
    assert len(losses) < 50
    assert min(losses[-3:]) >= min(losses)
    first = learnt("softmax", target=target, rate=3.0, epochs=50)
    data = Data(ROWS[:0], target[:0], ROWS[:100], target[:100], Spec(C, "softmax"))
    assert first.loss(data) == pytest.approx(min(losses), abs=6e-4)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert learnt("softmax").vectors.tobytes() == learnt("softmax").vectors.tobytes()
    assert learnt("softmax").vectors.tobytes() != learnt("softmax", seed=1).vectors.tobytes()


def test_what_it_begins_with_is_left_alone() -> None:
    before = START.copy()
    learnt("softmax")
    assert np.array_equal(START, before)


@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_every_epoch_goes_through_every_row_once_in_its_own_order(n: int) -> None:
    epochs = [np.concatenate([np.zeros(0, np.int64), *batches_of(n, 0, epoch)]) for epoch in (0, 1)]
    for order in epochs:
        assert sorted(order) == list(range(n))
    assert n < 7 or not np.array_equal(*epochs)
