"""Shapes: B rows, W width of the output."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from penjing.core.blend import Blend, plain, standard
from penjing.core.statistics import probabilities
from penjing.core.types import Link

LINKS: tuple[Link, ...] = ("softmax", "sigmoid", "identity")


def logits(rows: int, width: int = 4, seed: int = 0, scale: float = 3.0) -> Any:
    return np.random.default_rng(seed).normal(0, scale, (rows, width)).astype(np.float32)


def rising(link: Link, tiers: tuple[str, ...] = ("a",)) -> Blend:
    """An isotonic blend with few and uneven knots: long flat stretches, where answers could become equal."""
    knots = np.array([[0.0, 0.2, 0.6, 0.61, 1.0], [0.05, 0.05, 0.05, 0.9, 0.9]])
    return Blend(tiers, link, "isotonic", np.full((len(tiers), 1), 1 / len(tiers)), np.zeros(4), knots)


def test_a_blend_of_one_tier_says_what_the_tier_says() -> None:
    said = logits(50)
    ours = plain(["a"], 4, "softmax").apply({"a": said})
    assert np.allclose(probabilities(ours, "softmax"), probabilities(said, "softmax"), atol=1e-6)
    for link in ("sigmoid", "identity"):
        assert np.array_equal(plain(["a"], 4, link).apply({"a": said}), said)  # type: ignore[arg-type]


def test_a_shift_of_a_tiers_logits_changes_nothing_where_they_are_classes() -> None:
    said, other = logits(50), logits(50, seed=1)
    blend = Blend(("a", "b"), "softmax", "vector", logits(2, seed=2).astype(np.float64), np.arange(4.0))
    assert np.allclose(blend.apply({"a": said, "b": other}), blend.apply({"a": said + 100, "b": other}), atol=1e-3)


def test_standard_logits_are_log_probabilities_whose_exponentials_sum_to_one() -> None:
    assert np.allclose(np.exp(standard(logits(20, scale=50), "softmax")).sum(axis=1), 1)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_an_isotonic_blend_keeps_the_order_of_the_answers(link: Link) -> None:
    said = logits(2000)
    ours = rising(link).apply({"a": said})
    assert np.array_equal(ours.argmax(axis=1), said.argmax(axis=1))
    shares, mapped = (probabilities(np.asarray(x, np.float64), link) for x in (said, ours))
    if link == "sigmoid":
        assert (np.diff(mapped.ravel()[np.argsort(shares, axis=None)]) >= 0).all()


def test_an_isotonic_blend_maps_probabilities_to_what_its_knots_say() -> None:
    said = np.log(np.array([[0.61, 0.1], [0.2, 0.6]]) / (1 - np.array([[0.61, 0.1], [0.2, 0.6]]))).astype(np.float32)
    blend = Blend(("a",), "sigmoid", "isotonic", np.ones((1, 1)), np.zeros(2), np.array([[0.0, 0.6, 0.61, 1.0], [0.05, 0.05, 0.9, 0.9]]))
    assert np.allclose(probabilities(blend.apply({"a": said}).astype(np.float64), "sigmoid"), [[0.9, 0.05], [0.05, 0.05]], atol=1e-2)


@pytest.mark.parametrize("link", LINKS)
def test_what_is_described_is_read_again_to_the_bit(link: Link) -> None:
    said = {"a": logits(100), "b": logits(100, seed=1)}
    weights = np.random.default_rng(3).normal(size=(2, 4)) / 3
    for blend in (Blend(("a", "b"), link, "vector", weights, weights[0] / 7), rising(link, ("a", "b")), plain(["b", "a"], 4, link)):
        again = Blend.read(json.loads(json.dumps(blend.described())), link)
        assert again.described() == blend.described()
        assert (again.name, again.method) == (blend.name, blend.method)
        assert np.array_equal(again.apply(said), blend.apply(said))


@pytest.mark.parametrize("link", LINKS)
def test_no_rows_get_no_answers(link: Link) -> None:
    for blend in (plain(["a"], 4, link), rising(link)):
        assert blend.apply({"a": logits(0)}).shape == (0, 4)


def test_a_tier_without_weight_says_nothing() -> None:
    blend = Blend(("a", "b"), "softmax", "temperature", np.array([[2.0], [0.0]]), np.zeros(4))
    assert np.array_equal(blend.apply({"a": logits(9), "b": logits(9, seed=1)}), blend.apply({"a": logits(9), "b": logits(9, seed=2)}))


def test_certain_and_extreme_logits_stay_finite() -> None:
    said = np.array([[800.0, -800, 0, 0], [0, 0, 0, 0]], np.float32)
    for link in LINKS[:2]:
        assert np.isfinite(rising(link).apply({"a": said})).all()
        assert np.isfinite(plain(["a"], 4, link).apply({"a": said})).all()
