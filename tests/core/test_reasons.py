from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.tier import Tier
from penjing.core.types import Batch, Row

USUAL = {"income": 3.0, "debt": 1.0, "age": 40.0}
WEIGHTS = {"income": -1.0, "debt": 2.0, "age": 0.1}


class Numbers:
    """A processor that hands the numbers on."""

    inputs = "table"

    def encode(self, rows: Sequence[Row]) -> Batch:
        return {"numbers": np.array([[float(row[name]) for name in USUAL] for row in rows], np.float32)}


class Weighs:
    """An engine that adds them up: how bad a row is."""

    def __init__(self, width: int) -> None:
        self.width, self.asked = width, 0

    def run(self, batch: Batch) -> Batch:
        score = np.asarray(batch["numbers"]) @ np.array(list(WEIGHTS.values()), np.float32)
        self.asked += len(score)
        return {"logits": np.column_stack([score, np.zeros(len(score))]) if self.width == 2 else score[:, None]}


def tier(reasons: int, task: str = "tabular-classification") -> Tier:
    kind = plugins.load("tasks", task)
    fields: dict[str, Any] = {"labels": ["bad", "good"]} if task.endswith("classification") else {"center": 0.0, "scale": 2.0}
    return Tier("x", kind("y", list(USUAL), **fields, usual=USUAL, reasons=reasons), Numbers(), Weighs(2 if "labels" in fields else 1))  # type: ignore[arg-type]


ROW = {"income": 1.0, "debt": 3.0, "age": 30.0}


@pytest.mark.changes("tasks.tabular-classification.reasons")
def test_a_prediction_names_the_columns_that_spoke_for_its_answer() -> None:
    (answer,) = tier(2).predict([ROW])
    assert answer["label"] == "bad"
    assert [(r["column"], r["value"]) for r in answer["reasons"]] == [("debt", 3.0), ("income", 1.0)]
    # The log-odds of this answer are the score itself, so that an effect is the weight times the distance from the usual value.
    assert [r["effect"] for r in answer["reasons"]] == pytest.approx([2.0 * 2, -1.0 * -2], abs=1e-4)
    assert [r["column"] for r in tier(100).predict([ROW])[0]["reasons"]] == ["debt", "income"], "age spoke against it"
    assert "reasons" not in tier(0).predict([ROW])[0]


@pytest.mark.changes("tasks.tabular-regression.reasons")
def test_a_number_is_explained_in_its_own_unit_either_way() -> None:
    (answer,) = tier(3, "tabular-regression").predict([ROW])
    assert {r["column"]: round(r["effect"], 4) for r in answer["reasons"]} == {"debt": 8.0, "income": 4.0, "age": -2.0}


def test_rows_beside_it_do_not_change_a_rows_reasons_and_many_are_asked_in_pieces() -> None:
    some = tier(2)
    rows = [{**ROW, "debt": float(i % 7)} for i in range(3000)]
    answers = some.predict(rows)
    assert answers[17]["reasons"] == some.predict([rows[17]])[0]["reasons"]
    assert len(answers) == 3000
    assert all("reasons" in answer for answer in answers)


def test_a_usual_row_has_no_reasons() -> None:
    assert tier(3).predict([USUAL])[0]["reasons"] == []


def test_reasons_are_part_of_what_is_packed(tmp_path: Path) -> None:
    from penjing.core.tier import packed, unpacked

    task = tier(2).task
    assert unpacked("tasks", packed("tasks", task)) == task
