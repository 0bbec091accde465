"""Mistakes that do not cost the same; the rest of a task of one label is held by the contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.errors import ConfigError
from penjing.core.types import Row

COSTS = {"bad": {"good": 5.0}, "good": {"bad": 1.0}}


def task(costs: dict[str, Any]) -> Any:
    return plugins.load("tasks", "text-classification")("y", ["x"], ["bad", "good"], costs)


def logits(share_bad: list[float]) -> dict[str, np.ndarray]:
    return {"logits": np.log(np.column_stack([share_bad, 1 - np.array(share_bad)])).astype(np.float32)}


@pytest.mark.changes("tasks.text-classification.costs")
@pytest.mark.changes("tasks.image-classification.costs")
@pytest.mark.changes("tasks.tabular-classification.costs")
@pytest.mark.parametrize("name", ["text-classification", "image-classification", "tabular-classification"])
def test_the_answer_is_the_one_that_costs_least_and_not_the_likeliest(name: str) -> None:
    kind = plugins.load("tasks", name)
    plain, costly = kind("y", ["x"], ["bad", "good"]), kind("y", ["x"], ["bad", "good"], COSTS)
    said = logits([0.1, 0.2, 0.6])
    rows: list[Row] = [{}] * 3
    assert [p["label"] for p in plain.decode(said, rows)] == ["good", "good", "bad"]
    predictions = costly.decode(said, rows)
    assert [p["label"] for p in predictions] == ["good", "bad", "bad"], "one in six is the share at which refusing costs as much as granting"
    assert [p["expected_cost"] for p in predictions] == pytest.approx([0.5, 0.8, 0.4], abs=1e-6)


def test_confidence_is_a_half_where_two_answers_cost_the_same_and_agreement_is_about_answers() -> None:
    costly = task(COSTS)
    assert costly.confidence(logits([1 / 6]))[0] == pytest.approx(0.5, abs=1e-6)
    assert costly.confidence(logits([0.9]))[0] > 0.95
    assert costly.agreement(logits([0.2]), logits([0.6])).tolist() == [1.0]
    assert task({}).agreement(logits([0.2]), logits([0.6])).tolist() == [0.0]
    even = task({"bad": {"good": 1.0}})
    assert even.confidence(logits([0.3]))[0] == pytest.approx(task({}).confidence(logits([0.3]))[0], abs=1e-6)


def test_what_is_paid_is_measured_first_and_credited() -> None:
    costly, rows = task(COSTS), [{"y": "bad"}, {"y": "good"}, {"y": "good"}, {"y": "bad"}]
    said = logits([0.05, 0.05, 0.9, 0.9])
    first, *rest = costly.score(costly.decode(said, rows), rows)
    assert (first.name, first.value, first.better) == ("mean_cost", (5 + 0 + 1 + 0) / 4, "lower")
    assert [m.name for m in rest] == ["accuracy", "macro_f1"]
    assert costly.credit(said, rows).tolist() == [0.0, 1.0, 0.8, 1.0]


@pytest.mark.parametrize(
    ("costs", "sentence"),
    [({"bda": {"good": 1}}, "Did you mean 'bad'"), ({"bad": {"goood": 1}}, "goood"), ({"bad": {"good": -1}}, "0 or more")],
)
def test_a_cost_that_cannot_be_is_refused(costs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        task(costs)
