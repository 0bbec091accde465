from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from penjing.core.handover import HandOver
from penjing.core.protocols import Subject, Task
from penjing.core.types import Batch, Measurement, NDArray, Prediction, Row
from penjing.plugins.checks.parity import MEASURES, parity
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.plugins.tasks.text_regression import TextRegression

TASK = TextClassification("y", ["text"], ["a", "b", "c"])
ROWS: list[Row] = [{"text": "x", "y": "abc"[i % 3]} for i in range(30)]
LOGITS = np.eye(3, dtype=np.float32)[np.arange(30) % 3] * 4


@dataclass(frozen=True)
class Fixed:
    """A predictor that says what it was given."""

    task: Task
    logits: NDArray
    name: str = "fixed"

    def outputs(self, rows: Sequence[Row]) -> Batch:
        return {"logits": self.logits}

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        return self.task.decode(self.outputs(rows), rows)


def measured(ours: Fixed, theirs: Fixed, rows: Sequence[Row] = ROWS) -> dict[str, Measurement]:
    found = parity(HandOver(ours.task, rows, ours.outputs, ours.predict, Path(), theirs.outputs, theirs))
    return {m.name: m for m in found}


def test_the_same_answers_are_in_full_agreement_and_win_and_lose_nothing() -> None:
    found = measured(Fixed(TASK, LOGITS), Fixed(TASK, LOGITS))
    assert tuple(found) == MEASURES
    assert [m.value for m in found.values()] == [1, 0, 0]
    assert [m.n for m in found.values()] == [30, 30, 30]


def test_a_changed_answer_is_counted_measured_and_scored() -> None:
    changed = LOGITS.copy()
    changed[:3] = [[0, 4, 0], [0, 0, 4], [0, 0, 5]]  # two answers that were right are wrong, and one is only surer
    found = measured(Fixed(TASK, changed), Fixed(TASK, LOGITS))
    assert found["parity"].value == pytest.approx(28 / 30)
    assert found["largest_difference"].value == 4
    assert found["score_difference"].value == pytest.approx(-2 / 30)
    assert found["score_difference"].low is not None
    assert found["score_difference"].low < -2 / 30
    gained = measured(Fixed(TASK, LOGITS), Fixed(TASK, changed))["score_difference"]
    assert gained.value == pytest.approx(2 / 30)


def test_equal_outputs_under_swapped_labels_are_other_answers() -> None:
    swapped = TextClassification("y", ["text"], ["b", "a", "c"])
    found = measured(Fixed(swapped, LOGITS), Fixed(TASK, LOGITS))
    assert found["largest_difference"].value == 0
    assert found["parity"].value < 0.5
    assert found["score_difference"].value == pytest.approx(-2 / 3)


def test_equal_outputs_in_another_unit_are_other_answers() -> None:
    rows: list[Row] = [{"text": "x", "y": float(i)} for i in range(30)]
    values = np.linspace(-1, 1, 30, dtype=np.float32)[:, None]
    metres, feet = (Fixed(TextRegression("y", ["text"], 14.5, scale), values) for scale in (9.0, 30.0))
    assert measured(metres, metres, rows)["parity"].value == 1
    assert measured(feet, metres, rows)["parity"].value < 0.1


@pytest.mark.parametrize("broken", [LOGITS[:, :2], np.full_like(LOGITS, np.nan), LOGITS[:5], np.where(LOGITS == 4, np.inf, 0)])
def test_outputs_that_cannot_be_compared_differ_as_much_as_numbers_can(broken: NDArray) -> None:
    found = measured(Fixed(TASK, broken), Fixed(TASK, LOGITS))
    assert found["largest_difference"].value > 1e38
    assert np.isfinite(found["largest_difference"].value), "the figure is written as JSON"


def test_a_lost_label_leaves_nothing_to_agree_on() -> None:
    found = measured(Fixed(TextClassification("y", ["text"], ["a", "b"]), LOGITS), Fixed(TASK, LOGITS))
    assert found["parity"].value == 0
    assert "score_difference" not in found


def test_rows_without_target_are_compared_and_not_scored() -> None:
    found = measured(Fixed(TASK, LOGITS), Fixed(TASK, LOGITS), [{"text": "x"}] * 30)
    assert tuple(found) == MEASURES[:2]


def test_a_plain_subject_is_compared_under_its_own_task() -> None:
    side = Fixed(TASK, LOGITS)
    assert parity(Subject(TASK, ROWS, side.outputs, side.predict, Path(), side.outputs))[0].value == 1
