from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from penjing.core.protocols import Subject, Task
from penjing.core.types import Measurement, Row
from penjing.plugins.checks.baseline import MEASURES, baseline
from penjing.plugins.tasks.multi_label_text_classification import MultiLabelTextClassification
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.plugins.tasks.text_regression import TextRegression


def measured(task: Task, training: Sequence[Row], rows: Sequence[Row]) -> Measurement:
    (found,) = baseline(Subject(task, rows, lambda some: {}, lambda some: [], Path()), training)
    return found


def test_of_classes_it_is_the_majority_of_the_training_rows() -> None:
    task = TextClassification("y", ["text"], ["a", "b", "c"])
    found = measured(task, [{"y": label} for label in "aabbbbc"], [{"y": label} for label in "abbc"])
    assert (found.name, found.value, found.n) == ("baseline_accuracy", 0.5, 4)
    assert found.name == MEASURES[0].format(score="accuracy")
    assert found.low is not None
    assert found.low < 0.5
    assert "7 training rows" in found.method


def test_of_numbers_it_is_the_mean_of_the_training_rows() -> None:
    training: list[Row] = [{"y": value} for value in (0.0, 2.0, 4.0)]
    task = TextRegression(**TextRegression.options_from(training, "y", ["text"]))
    found = measured(task, training, [{"y": value} for value in (1.0, 2.0, 3.0)])
    assert found.name == "baseline_r2"
    assert found.value == pytest.approx(0.0, abs=1e-6)


def test_of_labels_it_is_the_set_with_the_best_f1_and_not_no_label_at_all() -> None:
    training: list[Row] = [{"y": labels} for labels in (["a"], ["a", "b"], ["b"], ["c"], ["a"], [], ["b"], [], [], [])]
    task = MultiLabelTextClassification("y", ["text"], ["a", "b", "c"], "")
    found = measured(task, training, training)
    # Every set, tried: {a, b} is right 6 times, names 20 labels, of 7 true ones.
    truth = np.array([[label in row["y"] for label in "abc"] for row in training])
    every = [[bool(i >> k & 1) for k in range(3)] for i in range(1, 8)]
    best = max(2 * (truth & np.array(s)).sum() / (truth.sum() + len(truth) * sum(s)) for s in every)
    assert found.name == "baseline_micro_f1"
    assert found.value == pytest.approx(best)
    assert best == pytest.approx(12 / 27)


def test_without_training_rows_every_answer_is_as_good() -> None:
    task = TextClassification("y", ["text"], ["a", "b"])
    assert "0 training rows" in measured(task, [], [{"y": "a"}, {"y": "b"}]).method


def test_many_training_rows_are_sampled_and_few_are_not() -> None:
    training: list[Row] = [{"y": ["a"] if i % 2 else ["a", "b"]} for i in range(5001)]
    task = MultiLabelTextClassification("y", ["text"], ["a", "b"], "")
    assert measured(task, training, training[:100]).value == pytest.approx(2 * 150 / (150 + 200))
