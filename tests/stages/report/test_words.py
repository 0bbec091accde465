"""Figures are written as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from penjing.stages.report import words


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (0, "0"),
        (0.00469, "0.00469"),
        (1e-5, "≈ 0"),
        (21840.0, "21,840"),
        (412.0, "412"),
        (2.2, "2.2"),
        (-0.5, "-0.5"),
        (1e16, f"{10**16:,}"),
    ],
)
def test_a_number_has_no_exponent(value: float | None, expected: str) -> None:
    assert words.amount(value) == expected


def test_a_measurement_is_shown_in_the_unit_that_reads_best_with_its_interval() -> None:
    watt_hours = {"name": "watt_hours_per_1000", "value": 0.0101, "unit": "Wh", "low": 0.005, "high": 0.025}
    assert (words.measured(watt_hours), words.interval(watt_hours)) == ("10.1 mWh", "[5, 25]")
    assert words.measured({"value": 91e6, "unit": "B"}) == "91 MB"
    assert words.measured({"value": None}) == "unmeasured"
    assert words.interval({"value": 1.0, "low": None, "high": None}) == ""


def test_a_change_tells_that_it_is_an_estimate_and_how_far_it_may_be_off() -> None:
    estimate = {"from": 1.0, "to": 3.0, "more": 2.0, "low": 1.0, "high": 5.0}
    assert (words.change(estimate), words.reach(estimate), words.cost_of(estimate)) == ("about +2", "[1, 5]", "1 → 3")
    exact = {"from": 3.0, "to": 1.0, "more": -2.0, "low": -2.0, "high": -2.0}
    assert (words.change(exact), words.reach(exact)) == ("−2", "")
    assert words.change(None) == "–"
    assert words.change({"from": 1e-6, "to": 2e-6, "more": 1e-6, "low": 1e-7, "high": 1e-5}) == "≈ 0"


def test_gains_are_points_where_they_are_shares() -> None:
    step = {"of": "accuracy", "gain": {"value": 0.023, "low": -0.005, "high": 0.041}}
    assert (words.points(step), words.gain_interval(step)) == ("+2.3 points", "[−0.5, +4.1]")
    assert words.points({**step, "of": "credit"}) == "+0.023"


def test_mistakes_are_listed_by_how_often_they_happen() -> None:
    confusion = {"labels": ["a", "b", "c"], "counts": [[9, 1, 0], [3, 5, 2], [0, 0, 0]]}
    assert words.mistakes(confusion, 2) == [
        {"true": "b", "answered": "a", "n": 3, "share": 0.3},
        {"true": "b", "answered": "c", "n": 2, "share": 0.2},
    ]
    assert words.mistakes(None, 2) == []


@pytest.mark.parametrize(
    ("keep", "value", "held"), [("agreement", 0.97, True), ("agreement", 0.969, False), ("accuracy", 0.97, True), ("accuracy", 0.98, False)]
)
def test_a_promise_is_held_by_the_measurement_that_it_is_about(keep: str, value: float, held: bool) -> None:
    name = {"agreement": "agreement_with_reference", "accuracy": "credit_lost"}[keep]
    test = [{"name": name, "value": value, "low": None, "high": None}]
    found = words.promise({"keep": keep, "promise": 0.97, "steps": [1, 2], "test": test})
    assert found is not None and found["held"] is held


@pytest.mark.parametrize(
    ("cost", "told", "by"),
    [
        ({"estimate": 10.0, "low": 8.0, "high": 12.5, "actual": 11.2}, "estimated 10 [8, 12]", "12% more"),
        ({"estimate": 10.0, "low": None, "high": None, "actual": 7.5}, "estimated 10", "25% less"),
        ({"estimate": 10.0, "low": None, "high": None, "actual": 10.01}, "estimated 10", "as estimated"),
        ({"estimate": 10.0, "low": None, "high": None, "actual": 35.0}, "estimated 10", "3.5 times as much"),
        ({"estimate": 10.0, "low": None, "high": None, "actual": None}, "estimated 10", ""),
        ({"estimate": None, "low": None, "high": None, "actual": 3.0}, "not estimated", ""),
    ],
)
def test_an_estimate_is_told_with_how_far_it_was_off(cost: Any, told: str, by: str) -> None:
    assert words.estimated(cost) == told
    assert words.off(cost) == by
