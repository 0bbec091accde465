"""Answers to validation rows are judged by loss, at the scale that suits them, and by how many are right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from penjing.core.types import Link, Spec
from penjing.training.trainee import judged

LOGITS = np.array([[2.0, -1.0], [0.5, 1.0], [3.0, -3.0], [1.0, 0.0]], np.float32)
CLASSES = np.array([0, 1, 0, 1])


def test_quality_is_the_share_that_is_right_of_classes_and_of_yes_and_no() -> None:
    shares = np.eye(2, dtype=np.float32)[CLASSES]
    assert judged(LOGITS, CLASSES, Spec(2, "softmax")).quality == 0.75
    assert judged(LOGITS, shares * 0.8 + 0.1, Spec(2, "softmax")).quality == 0.75
    assert judged(LOGITS, shares, Spec(2, "sigmoid")).quality == 5 / 8  # 2nd row: one of two, 4th: none


def test_quality_of_numbers_is_the_explained_share_of_their_variance() -> None:
    target, spec = np.array([[1.0], [2.0], [3.0]], np.float32), Spec(1, "identity")
    assert judged(target, target, spec).quality == 1.0
    assert judged(target + np.float32(0.5), target, spec).quality == pytest.approx(1 - 0.75 / 2)
    assert judged(target * 100, target, spec).quality == 0.0
    assert judged(target, target * 0 + 1, spec).quality == 0.0


def test_being_too_sure_costs_nothing_and_too_unsure_does() -> None:
    random = np.random.default_rng(0)
    target = random.integers(0, 2, 400)
    fair = np.eye(2)[np.where(random.random(400) < 0.8, target, 1 - target)] * math.log(4)
    right, loud, quiet = (judged((fair * by).astype(np.float32), target, Spec(2, "softmax")) for by in (1, 5, 0.3))
    assert loud.loss == pytest.approx(right.loss, abs=1e-3)
    assert loud.scale == pytest.approx(0.2, rel=0.15)
    assert quiet.scale == pytest.approx(1.0, abs=1e-3)
    assert quiet.loss > right.loss


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_no_rows_say_nothing_and_no_number_is_the_worst(link: Link) -> None:
    target = CLASSES if link == "softmax" else np.eye(2, dtype=np.float32)[CLASSES]
    nothing = judged(LOGITS[:0], target[:0], Spec(2, link))
    assert math.isnan(nothing.loss)
    assert math.isnan(nothing.quality)
    assert nothing.scale == 1.0
    broken = judged(np.where(LOGITS > 2, np.float32("nan"), LOGITS), target, Spec(2, link))
    assert (broken.loss, broken.quality) == (math.inf, 0.0)
