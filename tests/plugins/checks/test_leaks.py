from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penjing.core.protocols import Subject
from penjing.core.types import Measurement, Row
from penjing.plugins.checks.leaks import MEASURES, leaks
from penjing.plugins.tasks.text_classification import TextClassification


def measured(rows: Sequence[Row], *seen: Sequence[Row]) -> Measurement:
    task = TextClassification("rating", ["review", "name"], ["bad", "good"])
    found = leaks(Subject(task, rows, lambda some: {}, lambda some: [], Path()), iter(seen))
    assert tuple(m.name for m in found) == MEASURES
    return found[0]


def row(review: str | None, name: str = "x", rating: str = "good") -> Row:
    return {"review": review, "name": name, "rating": rating}


def test_a_row_is_leaked_when_all_its_inputs_stand_in_a_row_that_was_seen() -> None:
    test = [row("a"), row("b"), row("c"), row(None)]
    found = measured(test, [row("a", rating="bad"), row("b", name="y")], [row(None), row("d")])
    assert found.value == 2
    assert found.n == 4
    assert found.better == "lower"
    assert "4 rows" in found.method


def test_rows_that_repeat_each_other_are_counted_each() -> None:
    assert measured([row("a"), row("a")], [row("a")]).value == 2


def test_rows_that_were_never_seen_leak_nothing() -> None:
    assert measured([row("a"), row("a")], [row("b")], []).value == 0
