"""What ensembles learn, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.core.examples import Examples
from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.boosted_trees.goals import goals_of

WEIGHT = np.array([1, 3, 0.5, 0.5], np.float32)


def of(target: NDArray, spec: Spec, weight: NDArray | None = None) -> list[tuple[str, int, list[float]]]:
    return [(goal.loss, goal.classes, goal.start.tolist()) for goal in goals_of(Examples({}, target, weight), spec)]


def test_two_classes_are_the_logit_of_the_second() -> None:
    target = np.array([0, 1, 1, 1])
    assert of(target, Spec(2, "softmax")) == [("cross_entropy", 1, [pytest.approx(np.log(3.5 / 1.5))])]
    assert of(target, Spec(2, "softmax"), WEIGHT) == [("cross_entropy", 1, [pytest.approx(np.log(4.5 / 1.5))])]
    shares = np.array([[0.5, 0.5], [0, 1], [1, 0], [0.25, 0.75]], np.float32)
    assert of(shares, Spec(2, "softmax")) == [("cross_entropy", 1, [pytest.approx(np.log(2.75 / 2.25))])]


def test_a_row_of_shares_is_a_row_for_each_class_with_the_share_as_weight() -> None:
    shares = np.array([[0.5, 0.5, 0], [0, 0.9995, 0.0005]], np.float32)
    (goal,) = goals_of(Examples({}, shares, WEIGHT[:2]), Spec(3, "softmax"))
    assert goal.rows is not None
    assert goal.weight is not None
    assert goal.rows.tolist() == [0, 0, 1]
    assert goal.label.tolist() == [0, 1, 1]
    assert goal.weight == pytest.approx([0.5, 0.5, 3 * 0.9995])
    assert np.exp(goal.start) == pytest.approx(np.array([1, 0.5 + 2.9985 + 0.5, 0.5]) / (0.5 + 0.5 + 2.9985 + 1.5))


def test_every_label_and_every_number_has_an_ensemble_of_its_own() -> None:
    target = np.array([[0, 1], [1, 1], [0, 1], [0, 1]], np.float32)
    assert of(target, Spec(2, "sigmoid")) == [
        ("cross_entropy", 1, [pytest.approx(np.log(1.5 / 3.5))]),
        ("cross_entropy", 1, [pytest.approx(np.log(9))]),
    ]
    assert of(target, Spec(2, "identity"), WEIGHT) == [("regression", 1, [pytest.approx(0.6)]), ("regression", 1, [pytest.approx(1)])]


def test_the_loss_of_one_answer_for_all_is_the_weighted_mean() -> None:
    one, two = Examples({}, np.array([0, 1, 1, 1]), WEIGHT), Examples({}, np.array([[1.0], [3.0], [0], [0]], np.float32), WEIGHT)
    (pair,), (three,), (number,) = goals_of(one, Spec(2, "softmax")), goals_of(one, Spec(3, "softmax")), goals_of(two, Spec(1, "identity"))
    assert pair.mean_loss(np.array([np.log(4)])) == pytest.approx(-(np.log(0.2) + 4 * np.log(0.8)) / 5)
    assert three.mean_loss(np.log([0.2, 0.7, 0.1])) == pytest.approx(-(np.log(0.2) + 4 * np.log(0.7)) / 5)
    assert number.mean_loss(np.array([1.0])) == pytest.approx((3 * 4 + 0.5 + 0.5) / 5)
