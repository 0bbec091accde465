"""Shapes: B rows, W width of the output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penjing.core.blend import plain
from penjing.core.cascade import NEVER, Predictors
from penjing.core.tier import Tier
from penjing.core.types import NDArray, Row
from penjing.plugins.processors.ngrams import Ngrams
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.stages.evaluate.promised import Promised

TASK = TextClassification("rating", ["text"], ["a", "b"])
SECONDS = {"deep@exit-1": 0.002, "deep": 0.01, "cheap": 0.001, "dear": 0.01}


def said(answers: str, sure: NDArray) -> NDArray:
    """Return (B, 2) logits that answer each letter, and are as `sure` of it."""
    return np.array([[s, -s] if answer == "a" else [-s, s] for answer, s in zip(answers, sure, strict=True)], np.float32)


def calibrated(names: tuple[str, str], thresholds: list[float], certified: int, **changed: Any) -> dict[str, Any]:
    """Return what the calibrate stage writes: a path of `thresholds`, of which the first `certified` are proved, the last of them taken."""
    blends = {name: plain([name], 2, "softmax").described() for name in names}

    def cascade(threshold: float) -> dict[str, Any]:
        steps = [
            {"tiers": [names[0]], "blend": blends[names[0]], "thresholds": [threshold]},
            {"tiers": list(names), "blend": blends[names[1]], "thresholds": []},
        ]
        return {"name": "cascade", "tiers": list(names), "steps": steps}

    alone = {"name": names[1], "tiers": [names[1]], "steps": [{"tiers": [names[1]], "blend": blends[names[1]], "thresholds": []}]}
    found = {
        "keep": "agreement",
        "limit": 0.9,
        "confidence": 0.95,
        "reference": [names[1]],
        "why": "Cascade.",
        "rows": 100,
        "rows_needed": 29,
        "settings": [[[t]] for t in thresholds],
        "order": list(names),
        "certified": certified,
        "cascade": cascade(thresholds[certified - 1]) if certified else alone,
        "blends": blends,
        "offers": [],
    }
    return found | changed


def promised(found: dict[str, Any], answers: dict[str, NDArray], truth: str) -> Promised:
    names = list(answers)
    engine: Any = None
    tiers = {name: Tier(name, TASK, Ngrams(["text"]), engine, "deep" if "@" in name else "") for name in names}
    alone = {n: {"name": n, "tiers": [n], "steps": [{"tiers": [n], "blend": found["blends"][n], "thresholds": []}]} for n in names}
    rows: list[Row] = [{"text": "", "rating": letter} for letter in truth]
    return Promised(tiers, found, Predictors("cascade", alone), answers, rows, SECONDS)


def four(names: tuple[str, str] = ("cheap", "dear")) -> dict[str, NDArray]:
    """The cheap tier is surest of the first row; the dear one answers them all right."""
    return {names[0]: said("aabb", np.array([2.0, 1.5, 1.0, 0.5])), names[1]: said("abba", np.full(4, 3.0))}


def level(sure: float) -> float:
    """Return a threshold that logits of ±`sure` just reach."""
    return float(1 / (1 + np.exp(-2 * sure))) - 1e-4


PATH = [level(2.0), level(1.5), level(1.0), 0.0]


def test_the_steps_say_what_answers_and_on_how_many_test_rows() -> None:
    told = promised(calibrated(("cheap", "dear"), PATH, 3), four(), "abba").described()
    assert [(step["answers"], step["share"], step["tiers"]) for step in told["steps"]] == [
        ("cheap", 0.75, ["cheap"]),
        ("dear", 0.25, ["cheap", "dear"]),
    ]
    assert told["steps"][0]["threshold"] == pytest.approx(PATH[2])
    assert told["steps"][1]["threshold"] is None
    assert (told["promise"], told["calibration_rows"], told["needed_rows"]) == (0.9, 100, 29)


def test_the_curve_has_a_point_for_each_setting_and_says_which_are_certified() -> None:
    points = promised(calibrated(("cheap", "dear"), PATH, 2), four(), "abba").described()["curve"]
    assert [p["share_cheap"] for p in points] == [0.25, 0.5, 0.75, 1.0]
    assert [p["agreement"] for p in points] == [1.0, 0.75, 0.75, 0.5]
    assert [p["credit"] for p in points] == [1.0, 0.75, 0.75, 0.5]
    assert [p["certified"] for p in points] == [True, True, False, False]
    # Every row asks the cheap tier, and what it defers asks the dear one too.
    assert [p["seconds_per_1000"] for p in points] == pytest.approx([1 + 7.5, 1 + 5, 1 + 2.5, 1])


def test_what_goes_on_from_an_early_exit_takes_the_rest_of_its_time_only() -> None:
    names = ("deep@exit-1", "deep")
    points = promised(calibrated(names, PATH, 2), four(names), "abba").described()["curve"]
    assert [p["seconds_per_1000"] for p in points] == pytest.approx([2 + 0.75 * 8, 2 + 0.5 * 8, 2 + 0.25 * 8, 2])


def test_what_is_kept_is_measured_against_the_reference_and_the_truth() -> None:
    agreement, lost = promised(calibrated(("cheap", "dear"), PATH, 3), four(), "aaba").described()["test"]
    assert (agreement["name"], agreement["value"], agreement["n"]) == ("agreement_with_reference", 0.75, 4)
    assert (lost["name"], lost["better"]) == ("credit_lost", "lower")
    assert lost["value"] == -0.25  # the second row: the cheap tier is right, and the reference is not
    assert agreement["low"] < 0.75 < agreement["high"]


def test_an_offer_says_what_another_promise_would_have_given() -> None:
    other = calibrated(("cheap", "dear"), PATH, 1)
    offers = [
        {**other, "limit": 0.99, "certified": 1},
        {**other, "limit": 0.999, "certified": 0, "cascade": calibrated(("cheap", "dear"), PATH, 0)["cascade"]},
    ]
    told = promised(calibrated(("cheap", "dear"), PATH, 3, offers=offers), four(), "abba").described()["offers"]
    assert [(o["promise"], o["certified"], o["share_cheap"]) for o in told] == [(0.99, True, 0.25), (0.999, False, 0.0)]
    assert told[1]["seconds_per_1000"] == pytest.approx(10)


def many(wrong: int, of: int = 400) -> tuple[dict[str, NDArray], str]:
    """The cheap tier is sure of all rows, and wrong on the first `wrong`."""
    return {"cheap": said("b" * wrong + "a" * (of - wrong), np.full(of, 3.0)), "dear": said("a" * of, np.full(of, 3.0))}, "a" * of


@pytest.mark.parametrize(("wrong", "told"), [(0, False), (45, False), (80, True)])
def test_a_promise_of_agreement_that_test_rows_show_to_be_broken_is_said(wrong: int, told: bool) -> None:
    answers, truth = many(wrong)
    broken = promised(calibrated(("cheap", "dear"), [0.5], 1), answers, truth).broken()
    assert bool(broken) == told
    if told:
        assert broken == ["The cascade agrees with its reference on 80.0% of test rows; 90.0% were promised."]


@pytest.mark.parametrize(("wrong", "told"), [(0, False), (45, False), (80, True)])
def test_a_promise_of_accuracy_that_test_rows_show_to_be_broken_is_said(wrong: int, told: bool) -> None:
    answers, truth = many(wrong)
    broken = promised(calibrated(("cheap", "dear"), [0.5], 1, keep="accuracy", limit=0.1), answers, truth).broken()
    assert bool(broken) == told
    if told:
        assert broken == ["The cascade loses 20.0% of right answers on the test rows; at most 10.0% were promised."]


def test_a_reference_alone_breaks_no_promise_and_answers_every_row() -> None:
    answers, truth = many(80)
    alone = promised(calibrated(("cheap", "dear"), [NEVER], 0), answers, truth)
    assert alone.broken() == []
    assert [step["share"] for step in alone.described()["steps"]] == [1.0]
    assert alone.described()["test"][0]["value"] == 1.0
