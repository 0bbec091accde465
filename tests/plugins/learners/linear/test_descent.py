"""The descent, against what it must come to."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from scipy.sparse import csr_array

from penjing.core.statistics import mean_loss
from penjing.core.types import Link, NDArray, Spec
from penjing.plugins.learners.linear.descent import Settings, batches_of, descend
from penjing.training.losses import prior

LINKS = get_args(Link)
RNG = np.random.default_rng(0)
N, F, C = 600, 12, 3
ROWS = csr_array((RNG.random((N, F)) * (RNG.random((N, F)) < 0.4)).astype(np.float32))
TRUTH = RNG.normal(size=(F, C)) * 3


def targets(link: Link) -> NDArray:
    logits = ROWS @ TRUTH
    if link == "softmax":
        return np.asarray(logits.argmax(1))
    return ((logits > 0) if link == "sigmoid" else logits).astype(np.float32)


def learnt(link: Link, **changed: float | int) -> tuple[NDArray, NDArray]:
    settings = Settings(**{"rate": 1.0, "l2": 0.0, "epochs": 5, "seed": 0, **changed})  # type: ignore[arg-type]
    target, spec = targets(link), Spec(C, link)
    return descend(batches_of(ROWS, target, np.arange(N), 0), F, spec, prior(target, spec), settings, lambda _: None)


@pytest.mark.parametrize("link", LINKS)
def test_every_loss_is_brought_down(link: Link) -> None:
    weights, bias = learnt(link, epochs=20)
    target = targets(link)
    before = mean_loss(np.tile(prior(target, Spec(C, link)), (N, 1)), target, link)
    assert mean_loss(ROWS @ weights + bias, target, link) < before / 3


def test_batches_hold_every_chosen_row_once() -> None:
    chosen = np.flatnonzero(RNG.random(N) < 0.7)
    batches = batches_of(ROWS, np.arange(N), chosen, 0)
    assert sorted(np.concatenate([batch.target for batch in batches])) == chosen.tolist()
    for batch in batches:
        whole = np.zeros((len(batch.target), F), np.float32)
        whole[:, batch.features] = batch.rows.toarray()
        assert np.array_equal(whole, ROWS[batch.target].toarray())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert learnt("softmax")[0].tobytes() == learnt("softmax")[0].tobytes()
    assert learnt("softmax")[0].tobytes() != learnt("softmax", seed=1)[0].tobytes()


def test_a_stronger_penalty_makes_smaller_weights() -> None:
    sizes = [float(np.square(learnt("sigmoid", l2=l2)[0]).sum()) for l2 in (0.0, 1e-2, 1.0)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_shares_of_classes_that_are_certain_are_learnt_from_as_the_classes_are() -> None:
    target, spec = targets("softmax"), Spec(C, "softmax")
    shares = np.eye(C, dtype=np.float32)[target]
    settings = Settings(rate=1.0, l2=0.0, epochs=2, seed=0)
    both = [descend(batches_of(ROWS, t, np.arange(N), 0), F, spec, prior(t, spec), settings, lambda _: None) for t in (target, shares)]
    np.testing.assert_allclose(both[0][0], both[1][0], rtol=1e-4, atol=1e-5)
