from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.errors import BadRequest, DataError
from penjing.core.types import Row
from penjing.stages.prepare.weights import weights

TASK = plugins.load("tasks", "text-classification")("y", ["x"], ["no", "yes"])
ROWS: list[Row] = [{"y": "no", "w": "1", "penjing_row": i} for i in range(3)] + [{"y": "yes", "w": "4", "penjing_row": 3}]


def test_rows_weigh_alike_where_nothing_is_said() -> None:
    assert weights(ROWS, TASK, None, None) is None


def test_a_column_of_weights_counts_one_on_average() -> None:
    assert weights(ROWS, TASK, "w", None) == pytest.approx(np.array([1, 1, 1, 4]) * 4 / 7)


def test_balanced_classes_count_as_much_as_each_other() -> None:
    found = weights(ROWS, TASK, None, "balanced")
    assert found is not None
    assert found[:3].sum() == pytest.approx(found[3:].sum())
    assert found.mean() == pytest.approx(1)


def test_named_classes_weigh_what_they_are_told_and_columns_beside() -> None:
    found = weights(ROWS, TASK, "w", {"yes": 2.0})
    assert found is not None
    assert found[3] / found[0] == pytest.approx(8)


@pytest.mark.parametrize(
    ("column", "classes", "sentence"),
    [
        (None, {"yess": 2.0}, "Did you mean 'yes'"),
        (None, {"yes": -1.0}, "0 or more"),
        ("y", None, "holds 'no' in row 0: a weight is a finite number"),
        ("none", None, "holds None in row 0"),
    ],
)
def test_weights_that_cannot_be_are_refused(column: str | None, classes: Any, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        weights(ROWS, TASK, column, classes)


def test_rows_that_all_weigh_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="No training row counts"):
        weights(ROWS, TASK, None, {"yes": 0.0, "no": 0.0})


def test_a_number_has_no_classes_to_weigh() -> None:
    task = plugins.load("tasks", "text-regression")("w", ["x"], 0.0, 1.0)
    with pytest.raises(BadRequest, match=r"data\.weight"):
        weights(ROWS, task, None, "balanced")
