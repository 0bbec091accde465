"""Shapes: B rows, C classes."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.core import notice
from penjing.core.types import NDArray
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.plugins.tasks.text_regression import TextRegression

TASK = TextClassification("rating", ["text"], ["a", "b", "c"])


def drawn(random: np.random.Generator, count: int = 300, shares: tuple[float, ...] = (0.6, 0.3, 0.1)) -> tuple[NDArray, NDArray]:
    """Return (B, C) logits, and the (B,) credit of answers that are right more often where they are surer."""
    true_B = random.choice(3, count, p=shares)
    logits_BC = random.normal(0, 1, (count, 3)) + 2.0 * np.eye(3)[true_B]
    return logits_BC, (logits_BC.argmax(axis=1) == true_B).astype(np.float64)


def test_a_shift_of_the_labels_is_noticed() -> None:
    random = np.random.default_rng(0)
    found = notice.unlike(TASK, "calibration", drawn(random)[0], "test", drawn(random, shares=(0.3, 0.3, 0.4))[0])
    assert "the test rows are answered with other classes than the calibration rows" in found[0]
    assert "look at how they were divided" in found[0]


def test_rows_that_are_harder_are_noticed() -> None:
    random = np.random.default_rng(0)
    easy, _ = drawn(random)
    found = notice.unlike(TASK, "calibration", easy, "test", drawn(random)[0] * 0.5)
    assert any("the answers to the test rows are not as sure" in sentence for sentence in found)


def test_fair_draws_raise_no_alarm_more_often_than_the_level_says() -> None:
    random = np.random.default_rng(0)
    alarms = sum(bool(notice.unlike(TASK, "validation", drawn(random)[0], "test", drawn(random, 200)[0])) for _ in range(200))
    assert alarms <= 2  # two tests each at 0.001: more than 2 of 200 have a chance of 0.8 %


@pytest.mark.parametrize(("here", "there"), [(137, 211), (499, 503), (1000, 9999), (5, 5)])
def test_any_number_of_rows_can_be_compared(here: int, there: int) -> None:
    # Of some pairs of counts the exact distribution is out of reach, and a library's warning about it is nothing for a user.
    random = np.random.default_rng(0)
    easy, hard = drawn(random, here)[0], drawn(random, there)[0] * 0.4
    assert bool(notice.unlike(TASK, "validation", easy, "test", hard)) == (here > 5)


def test_a_class_that_is_rare_on_both_sides_raises_no_alarm() -> None:
    random = np.random.default_rng(1)
    shares = (0.99, 0.005, 0.005)
    alarms = sum(bool(notice.unlike(TASK, "validation", drawn(random, 200, shares)[0], "test", drawn(random, 200, shares)[0])) for _ in range(100))
    assert alarms <= 2


def test_shuffled_confidences_are_noticed() -> None:
    random = np.random.default_rng(0)
    logits_BC, credit_B = drawn(random)
    assert notice.uninformative(TASK, "cheap", logits_BC, credit_B) == []
    sentence = notice.uninformative(TASK, "cheap", logits_BC, random.permutation(credit_B))
    assert "The confidence of cheap is not shown to tell its right answers from its wrong ones" in sentence[0]


def test_informative_confidences_are_not_called_otherwise() -> None:
    random = np.random.default_rng(2)
    assert sum(bool(notice.uninformative(TASK, "cheap", *drawn(random))) for _ in range(200)) <= 2


def test_too_little_to_judge_by_is_passed_over() -> None:
    random = np.random.default_rng(0)
    logits_BC, credit_B = drawn(random, 4)
    assert notice.unlike(TASK, "validation", logits_BC, "test", drawn(random)[0]) == []
    assert notice.uninformative(TASK, "cheap", logits_BC, credit_B) == []
    assert notice.uninformative(TASK, "cheap", drawn(random)[0], np.ones(300)) == []


def test_numbers_that_have_no_confidence_raise_no_alarm() -> None:
    task, random = TextRegression("rating", ["text"], 0.0, 1.0), np.random.default_rng(0)
    one, other = random.normal(size=(50, 1)), random.normal(size=(60, 1))
    assert notice.unlike(task, "validation", one, "test", other) == []
    assert notice.uninformative(task, "cheap", one, 1 - one[:, 0] ** 2) == []
