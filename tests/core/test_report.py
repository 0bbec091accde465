"""What a report says in words follows from its paired tests, and is true."""

from __future__ import annotations

from typing import Any

import pytest

from penjing.core.report import best, comparisons, figure, gained, recommendation


def step(
    before: str, after: str, gain: float = 0.0, proven: str | None = None, kind: str = "climb", slower: float | None = 10.0, **given: Any
) -> Any:
    measured = {"value": gain, "low": gain - 0.01, "high": gain + 0.01, "p": 0.2, "n": 1000, "from": 0.8, "to": 0.8 + gain, "proven": proven}
    seconds = None if slower is None else {"from": 1.0, "to": slower, "more": slower - 1}
    if seconds:
        seconds |= {"low": slower - 1, "high": slower - 1}
    costs = {"training": {"seconds": {"from": 1.0, "to": 60.0, "more": 59.0, "low": 59.0, "high": 59.0}}, "per_1000": {"seconds": seconds}}
    return {"kind": kind, "from": before, "to": after, "of": "accuracy", "gain": measured, **costs, **given}


def entry(tier: str, kind: str = "tier", p95: float = 1.0, rate: float | None = None) -> dict[str, Any]:
    measurements: list[dict[str, Any]] = [
        {"name": "accuracy", "value": 0.8, "low": 0.77, "high": 0.83, "n": 1000},
        {"name": "p95_latency_ms", "value": p95},
    ]
    measurements += [{"name": "predictions_per_second", "value": rate}] if rate else []
    return {"tier": tier, "kind": kind, "validation": [], "measurements": measurements}


def report(*entries: dict[str, Any], prices: Any = (), serves: str = "linear", **given: Any) -> dict[str, Any]:
    return {"leaderboard": list(entries), "prices": list(prices), "serves": serves, **given}


LINEAR, LARGE, CASCADE = entry("linear"), entry("large", p95=35.0), entry("cascade", "cascade")


def test_the_cheapest_tier_is_enough_where_nothing_dearer_is_proven_better() -> None:
    said = recommendation(report(LINEAR, LARGE, prices=[step("linear", "large", 0.008)]))
    assert said.startswith("The linear tier is enough: on 1,000 test rows nothing dearer is proven better")
    assert "+0.8 points (95 % interval −0.2 to 1.8)" in said
    assert "10 times as slow" in said


def test_it_says_so_although_something_dearer_answers() -> None:
    said = recommendation(report(LINEAR, LARGE, prices=[step("linear", "large", 0.008)], serves="large"))
    assert said.startswith("The linear tier is enough")
    assert "as it stands large answers, and pack.tier=linear changes that" in said


def test_a_dearer_tier_is_worth_it_where_that_is_proven_and_its_price_is_told() -> None:
    said = recommendation(report(LINEAR, LARGE, prices=[step("linear", "large", 0.05, "better")], serves="large"))
    assert said.startswith("Serve large: it is proven better than linear, accuracy 0.850 against 0.800, +5.0 points")
    assert "10 times as slow and learnt in 60 s instead of 1 s" in said


def test_a_tier_that_is_proven_worse_is_climbed_over() -> None:
    prices = [step("linear", "small", -0.05, "worse"), step("small", "large", 0.09, "better"), step("linear", "large", 0.01, kind="compared")]
    said = recommendation(report(LINEAR, entry("small"), LARGE, prices=prices))
    assert said.startswith("The linear tier is enough"), "better than a bad tier is not better than the cheapest"


def test_what_answers_fastest_is_the_cheapest_wherever_it_stands() -> None:
    board = [entry("linear", rate=100.0), entry("small", rate=1000.0)]
    said = recommendation(report(*board, prices=[step("linear", "small", 0.02, slower=0.1)], serves="small"))
    assert said.startswith("The small tier is enough: ")
    assert "(linear comes nearest: accuracy 0.800 against 0.820, −2.0 points (95 % interval −3.0 to −1.0), 10 times as slow)" in said
    worth = recommendation(report(*board, prices=[step("linear", "small", -0.02, "worse", slower=0.1)], serves="linear"))
    assert worth.startswith("Serve linear: it is proven better than small, accuracy 0.800 against 0.780")


def test_speeds_that_differ_by_noise_leave_the_order_as_it_is() -> None:
    board = [entry("linear", rate=1000.0), entry("small", rate=1010.0)]
    assert recommendation(report(*board, prices=[step("linear", "small", slower=0.99)])).startswith("The linear tier is enough: ")


def test_a_cascade_that_serves_is_told_with_its_speed_and_its_loss() -> None:
    prices = [
        step("linear", "large", 0.05, "better"),
        step("large", "cascade", -0.002, slower=0.25, kind="cascade"),
        step("linear", "cascade", 0.048, "better"),
    ]
    cascade = {"steps": [{"tiers": ["linear"], "threshold": 0.6, "share": 0.72}]}
    said = recommendation(report(LINEAR, LARGE, CASCADE, prices=prices, serves="cascade", cascade=cascade))
    assert said == (
        "Serve the cascade: linear answers 72% of the rows by itself, which is 4 times as fast as large, at no proven loss: "
        "accuracy 0.798 against 0.800, −0.2 points (95 % interval −1.2 to 0.8)."
    )


def test_a_cascade_is_not_needed_where_its_cheapest_tier_is_enough() -> None:
    prices = [
        step("linear", "large", 0.008),
        step("large", "cascade", slower=0.25, kind="cascade"),
        step("linear", "cascade", 0.004, kind="compared"),
    ]
    assert recommendation(report(LINEAR, LARGE, CASCADE, prices=prices, serves="cascade")).startswith("The linear tier is enough")


def test_a_cascade_that_is_slower_and_not_better_is_not_recommended() -> None:
    prices = [
        step("linear", "large", 0.05, "better"),
        step("large", "cascade", slower=1.3, kind="cascade"),
        step("linear", "cascade", 0.05, "better"),
    ]
    assert recommendation(report(LINEAR, LARGE, CASCADE, prices=prices, serves="large")).startswith("Serve large")


def test_what_breaks_the_users_limits_is_left_out_by_name() -> None:
    prices = [step("linear", "large", 0.05, "better")]
    said = recommendation(report(LINEAR, LARGE, prices=prices), {"p95_latency_ms": {"at_most": 20}})
    assert said.startswith("Serve linear: ")
    assert "left out: large has p95_latency_ms 35, at most 20 asked" in said
    nothing = recommendation(report(LINEAR, LARGE, prices=prices), {"accuracy": {"at_least": 0.78, "on": "worse_end"}})
    assert nothing.startswith("Nothing here keeps the limits: linear has accuracy 0.8, at least 0.78 at the worse end of the interval asked")


def test_a_closed_gate_comes_before_any_advice_and_an_override_is_told() -> None:
    gates = [{"name": "accuracy", "limit": {"at_least": 0.9, "on": "value"}, "value": 0.8, "holds": False}]
    assert recommendation(report(LINEAR, gates=gates)) == "Do not serve this yet: accuracy is 0.8, and the limit is at least 0.9."
    released = recommendation(report(LINEAR, gates=gates, override={"by": "Mei", "reason": "a pilot"}))
    assert released.endswith("; Mei released it although accuracy is 0.8, and the limit is at least 0.9: a pilot.")
    unmeasured = [{"name": "fairness", "limit": {"at_least": 0.9, "on": "value"}, "value": None, "holds": False}]
    assert "fairness is unmeasured" in recommendation(report(LINEAR, gates=unmeasured))


def test_one_tier_is_told_with_its_interval() -> None:
    said = recommendation(report(LINEAR))
    assert said == "Serve linear: there is nothing to choose it against, and its accuracy is 0.800 (95 % interval 0.770 to 0.830) on 1,000 test rows."


def test_every_step_has_its_sentence_and_other_pairs_have_none() -> None:
    prices = [step("a", "b", 0.02, "better"), step("a", "c", kind="compared"), step("b", "c", -0.03, "worse"), step("c", "d")]
    won, lost, open_ = comparisons(prices)
    assert won == "a → b: accuracy 0.800 → 0.820: +2.0 points (95 % interval 1.0 to 3.0), p = 0.2, paired on 1,000 test rows: won."
    assert lost.endswith(": lost.") and "−3.0 points (95 % interval −4.0 to −2.0)" in lost
    assert open_.endswith(": nothing is proved to be won or lost.") and "0.0 points" in open_


def test_credit_that_is_no_share_is_not_told_in_points() -> None:
    assert gained(step("a", "b", 0.043, of="credit")) == "+0.043 (95 % interval 0.033 to 0.053)"


@pytest.mark.parametrize(("better", "expected"), [("higher", "b"), ("lower", "a")])
def test_the_best_is_best_on_validation_rows(better: str, expected: str) -> None:
    board = [{"tier": t, "validation": [{"value": v, "better": better}], "measurements": []} for t, v in (("a", 0.1), ("b", 0.2), ("c", 0.2))]
    assert best(board) == expected


def test_without_validation_rows_the_best_is_the_last_tier() -> None:
    assert best([LINEAR, LARGE, CASCADE]) == "large"
    assert figure(LARGE, "p95_latency_ms") == {"name": "p95_latency_ms", "value": 35.0}
    assert figure(LARGE, "size_bytes") is None
