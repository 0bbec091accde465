"""Shapes: B rows, W width of the output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penjing.core.blend import Blend, plain
from penjing.core.cascade import Cascade, Step
from penjing.core.protocols import Task
from penjing.core.tier import Tier
from penjing.core.types import NDArray, Row
from penjing.plugins.processors.ngrams import Ngrams
from penjing.plugins.tasks.multi_label_text_classification import MultiLabelTextClassification
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.plugins.tasks.text_regression import TextRegression
from penjing.stages.evaluate.reliability import BINS, reliability

TASK = TextClassification("rating", ["text"], ["a", "b", "c"])


def alone(task: Task, blend: Blend) -> Cascade:
    engine: Any = None
    return Cascade("tier", {"tier": Tier("tier", task, Ngrams(["text"]), engine)}, (Step(("tier",), blend, np.zeros(0)),))


def scaled(weight: float) -> Blend:
    return Blend(("tier",), "softmax", "temperature", np.array([[weight]]), np.zeros(3))


def drawn(count: int = 3000, seed: int = 0) -> tuple[NDArray, list[Row]]:
    """Return (B, 3) logits that are as sure as they should be, and rows drawn by them."""
    random = np.random.default_rng(seed)
    logits_BW = random.normal(0, 2, (count, 3))
    shares_BW = np.exp(logits_BW) / np.exp(logits_BW).sum(axis=1, keepdims=True)
    labels = (random.random(count)[:, None] > shares_BW.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return logits_BW, [{"text": "", "rating": "abc"[i]} for i in labels]


def test_what_is_overconfident_is_seen_before_and_mended_after() -> None:
    logits_BW, rows = drawn()
    found = reliability(alone(TASK, scaled(1 / 3)), 3 * logits_BW, rows)
    assert found is not None
    assert found["method"] == "temperature"
    before, after = found["before"], found["after"]
    assert before["ece"] > 0.1 > 0.03 > after["ece"]
    assert before["log_loss"] > after["log_loss"]
    assert before["brier"] > after["brier"]


def test_the_figures_are_those_of_the_formulas() -> None:
    logits_BW = np.log(np.array([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]]))
    rows: list[Row] = [{"text": "", "rating": "a"}, {"text": "", "rating": "b"}]
    found = reliability(alone(TASK, plain(["tier"], 3, "softmax")), logits_BW, rows)
    assert found is not None
    assert found["before"]["log_loss"] == pytest.approx(-(np.log(0.7) + np.log(0.25)) / 2)
    assert found["before"]["brier"] == pytest.approx(((0.09 + 0.04 + 0.01) + (0.25 + 0.5625 + 0.0625)) / 2)
    assert found["before"]["ece"] == pytest.approx((0.3 + 0.5) / 2)
    assert found["before"]["log_loss"] == pytest.approx(found["after"]["log_loss"], abs=1e-6)


def test_the_bins_hold_every_row_once_at_its_confidence() -> None:
    logits_BW, rows = drawn(500)
    certain = np.vstack([logits_BW, [[1000.0, 0.0, 0.0]]])
    found = reliability(alone(TASK, plain(["tier"], 3, "softmax")), certain, [*rows, {"text": "", "rating": "a"}])
    assert found is not None
    bins = found["before"]["bins"]
    assert sum(b["n"] for b in bins) == 501
    assert all(b["low"] <= b["confidence"] <= b["high"] and 0 <= b["right"] <= 1 for b in bins)
    assert bins[-1]["high"] == 1.0
    assert len(bins) <= BINS


def test_several_labels_a_row_have_a_reliability_too() -> None:
    task = MultiLabelTextClassification("rating", ["text"], ["x", "y"], "|")
    logits_BW = np.array([[2.0, -2.0], [2.0, 2.0]])
    rows: list[Row] = [{"text": "", "rating": "x"}, {"text": "", "rating": "x"}]
    found = reliability(alone(task, plain(["tier"], 2, "sigmoid")), logits_BW, rows)
    assert found is not None
    wrong, right = 1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(2.0))
    assert found["before"]["brier"] == pytest.approx((3 * right**2 + wrong**2) / 4)


def test_numbers_have_none() -> None:
    task = TextRegression("rating", ["text"], 0.0, 1.0)
    assert reliability(alone(task, plain(["tier"], 1, "identity")), np.zeros((2, 1)), [{"rating": 1.0}, {"rating": 2.0}]) is None
