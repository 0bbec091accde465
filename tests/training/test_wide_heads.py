"""The quick way to a head over many features ends where the plain one does."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.core.statistics import mean_loss
from penjing.core.types import Link, NDArray
from penjing.training import heads, wide_heads

LINKS: list[Link] = ["softmax", "sigmoid", "identity"]


def data(link: Link, seed: int, n: int = 120) -> tuple[NDArray, NDArray]:
    """Features that hang together, on very different scales, and what follows from them."""
    fixed, random = np.random.default_rng(0), np.random.default_rng(seed)
    x = (random.normal(size=(n, 4)) @ fixed.normal(size=(4, 12)) + 0.1 * random.normal(size=(n, 12))) * np.logspace(-2, 2, 12) + 5
    logits = (x - 5) / np.logspace(-2, 2, 12) @ fixed.normal(size=(12, 3)) + 0.5 * random.normal(size=(n, 3))
    if link == "softmax":
        return x.astype(np.float32), logits.argmax(1)
    return x.astype(np.float32), ((logits > 0) if link == "sigmoid" else logits).astype(np.float32)


@pytest.mark.parametrize("link", LINKS)
def test_it_finds_the_head_that_the_plain_way_finds(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_L2", (0.03,))
    monkeypatch.setattr(wide_heads, "_L2", (0.03,))
    x, y = data(link, 1)
    held_x, held_y = data(link, 2, 60)
    weight = np.linspace(0.5, 1.5, len(y)).astype(np.float32)
    plain, wide = (module.learn(x, y, held_x, held_y, 3, link, weight=weight) for module in (heads, wide_heads))
    spread = float(np.std(plain.logits(held_x)))
    assert np.abs(plain.logits(held_x) - wide.logits(held_x)).max() < 0.02 * spread  # both stop when the loss hardly falls any more
    assert wide.loss == pytest.approx(mean_loss(wide.logits(held_x), held_y, link), rel=1e-3)


def test_shares_of_classes_are_learnt_as_classes_are() -> None:
    x, y = data("softmax", 1)
    shares = np.eye(3, dtype=np.float32)[y]
    by_class, by_share = (wide_heads.learn(x, target, x[:0], target[:0], 3, "softmax") for target in (y, shares))
    assert np.allclose(by_class.logits(x), by_share.logits(x), atol=1e-3)


def test_the_strength_of_l2_is_chosen_by_the_validation_rows() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 6)).astype(np.float32)
    clear, noise = (x[:, 0] > 0).astype(np.int64), random.integers(0, 2, 200)
    chosen = [wide_heads.learn(x[:100], y[:100], x[100:], y[100:], 2, "softmax").l2 for y in (clear, noise)]
    assert chosen[0] < chosen[1]


def test_without_validation_rows_and_with_features_that_say_nothing_it_learns_the_shares() -> None:
    x, y = np.ones((30, 4), np.float32), np.arange(30) % 3 // 2  # two thirds of class 0
    head = wide_heads.learn(x, y, x[:0], y[:0], 2, "softmax")
    difference = head.logits(x[:1])[0]
    assert difference[0] - difference[1] == pytest.approx(np.log(2), abs=0.01)
    assert np.isnan(head.loss)


def test_a_row_that_counts_for_nothing_changes_nothing() -> None:
    x, y = data("softmax", 1)
    weight = np.ones(len(y), np.float32)
    weight[::2] = 0
    wrong = np.where(np.arange(len(y)) % 2 == 0, (y + 1) % 3, y)
    told = [wide_heads.learn(x, target, x[:0], target[:0], 3, "softmax", weight=weight).logits(x) for target in (y, wrong)]
    assert np.allclose(*told, atol=1e-3)
