"""Confusion and slices are counts, and no text of a row gets into them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from penjing.plugins.tasks.multi_label_text_classification import MultiLabelTextClassification
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.plugins.tasks.text_regression import TextRegression
from penjing.stages.evaluate.slices import confusion, slices

TASK = TextClassification("y", ["text"], ["a", "b", "c"])
ROWS = [
    {
        "text": f"a long text {i}",
        "y": "ab"[i % 2],
        "site": ["Berlin", "Wien", None][i % 3],
        "penjing_row": i,
        "note": f"note {i}",
        "rare": "x" if i else "z",
    }
    for i in range(60)
]


def test_the_confusion_counts_true_labels_down_and_answers_across() -> None:
    rows = [{"text": "", "y": y} for y in "aab"]
    found = confusion(TASK, [{"label": label} for label in "aba"], rows)
    assert found == {"labels": ["a", "b", "c"], "counts": [[1, 1, 0], [1, 0, 0], [0, 0, 0]]}


@pytest.mark.parametrize("task", [TextRegression("y", ["text"], 0.0, 1.0), MultiLabelTextClassification("y", ["text"], ["a", "b"], ",")])
def test_a_task_without_one_label_a_row_has_none(task: object) -> None:
    assert confusion(task, [], []) is None  # type: ignore[arg-type]


def test_every_value_of_another_column_gets_its_share_of_right_answers_with_an_exact_interval() -> None:
    credit = np.array([1.0 if row["site"] == "Berlin" else i % 2 for i, row in enumerate(ROWS)])
    found = {(s["column"], s["value"]): s for s in slices(TASK, credit, ROWS, ["text"])}
    assert set(found) == {("site", "Berlin"), ("site", "Wien"), ("site", "(none)")}
    berlin = found["site", "Berlin"]
    assert berlin["n"] == berlin["measurement"]["n"] == 20
    assert berlin["measurement"]["value"] == berlin["measurement"]["high"] == 1
    assert berlin["measurement"]["low"] == pytest.approx(0.025 ** (1 / 20))  # Clopper–Pearson with all right


def test_no_text_of_a_row_gets_into_the_report() -> None:
    long = [{**row, "remark": "x" * 100 if i % 2 else "y"} for i, row in enumerate(ROWS)]
    told = json.dumps(slices(TASK, np.ones(60), long, ["text"]))
    assert "a long text" not in told and "note" not in told and "xxx" not in told and "penjing_row" not in told


def test_the_number_of_a_row_is_no_slice() -> None:
    assert slices(TASK, np.ones(60), [{"y": "a", "penjing_row": i % 2} for i in range(60)], ["text"]) == []


def test_values_that_are_lists_are_no_slices() -> None:
    assert slices(TASK, np.ones(60), [{"y": "a", "tags": ["p", "q"]} for _ in range(60)], ["text"]) == []


def test_credit_between_right_and_wrong_gets_a_bootstrap_interval() -> None:
    credit = np.linspace(-1, 1, 60)
    measured = slices(TASK, credit, ROWS, ["text"])[0]["measurement"]
    assert measured["low"] < measured["value"] < measured["high"]
    assert "bootstrap" in measured["method"]
