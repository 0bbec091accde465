"""The price list tells what each step gains on the same rows, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penjing.stages.evaluate.prices import PriceConfig, steps


def entry(tier: str, kind: str = "tier", rate: float = 1000.0, watt_hours: float = 0.01, seconds: float = 10.0, **given: Any) -> dict[str, Any]:
    joules = {"joules": 36000.0 * seconds, "low": 18000.0 * seconds, "high": 90000.0 * seconds, "method": "an estimate", "measured": False}
    measurements = [
        {"name": "accuracy", "value": 0.5},
        {"name": "predictions_per_second", "value": rate},
        {"name": "size_bytes", "value": 1e6},
        {"name": "watt_hours_per_1000", "value": watt_hours, "low": watt_hours / 2, "high": watt_hours * 2.5},
    ]
    return {"tier": tier, "kind": kind, "of": [], "seconds_to_learn": seconds, "energy_to_learn": joules, "measurements": measurements, **given}


LADDER = [
    entry("linear"),
    entry("small", rate=100.0, watt_hours=0.1, seconds=100.0),
    entry("large", rate=10.0, watt_hours=1.0, seconds=1000.0),
    entry("small+large", "reference", rate=9.0, of=["small", "large"]),
    entry("cascade", "cascade", rate=300.0, of=["linear", "small", "large"]),
]
RNG = np.random.default_rng(0)
CREDIT = {e["tier"]: (RNG.random(400) < share).astype(float) for e, share in zip(LADDER, [0.5, 0.6, 0.62, 0.8, 0.79], strict=True)}


def priced(**given: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(s["from"], s["to"]): s for s in steps(LADDER, CREDIT, PriceConfig(**given))}


def test_the_steps_are_climbed_in_the_order_of_the_leaderboard() -> None:
    climbed = [(s["kind"], s["from"], s["to"]) for s in steps(LADDER, CREDIT, PriceConfig()) if s["kind"] != "compared"]
    assert climbed == [
        ("climb", "linear", "small"),
        ("climb", "small", "large"),
        ("blend", "large", "small+large"),
        ("cascade", "small+large", "cascade"),
    ]
    assert len(priced()) == 10, "every pair is compared"


def test_a_cascade_is_held_against_the_reference_it_was_made_for() -> None:
    found = steps([LADDER[0], LADDER[1], LADDER[4]], CREDIT, PriceConfig(), "small")
    assert [(s["from"], s["to"]) for s in found if s["kind"] == "cascade"] == [("small", "cascade")]


def test_a_gain_is_proved_on_the_rows_on_which_two_sides_differ() -> None:
    """7 wins and no loss on 400 rows are proof, though the two separate intervals overlap almost wholly."""
    ours, theirs = np.r_[np.ones(207), np.zeros(193)], np.r_[np.ones(200), np.zeros(200)]
    (step,) = steps(LADDER[:2], {"linear": theirs, "small": ours}, PriceConfig())
    assert step["gain"]["proven"] == "better"
    assert step["gain"]["value"] == pytest.approx(7 / 400)
    (back,) = steps(LADDER[:2], {"linear": ours, "small": theirs}, PriceConfig())
    assert back["gain"]["proven"] == "worse"
    (same,) = steps(LADDER[:2], {"linear": ours, "small": ours}, PriceConfig())
    assert same["gain"]["proven"] is None


def test_proof_needs_both_the_test_and_the_interval() -> None:
    """With 36 wins and 20 losses on 400 rows the interval is above 0 and the exact test, which is stricter, gives 0.044 and at 35 wins 0.058."""
    for wins, proven in ((36, "better"), (35, None)):
        ours, theirs = np.r_[np.ones(wins), np.zeros(20), np.ones(400 - wins - 20)], np.r_[np.zeros(wins), np.ones(400 - wins)]
        (step,) = steps(LADDER[:2], {"linear": theirs, "small": ours}, PriceConfig())
        assert step["gain"]["low"] > 0
        assert step["gain"]["proven"] == proven


def test_what_is_compared_is_named_by_the_measurement_it_equals() -> None:
    credit = {"linear": np.zeros(4), "small": np.array([1.0, 1, 0, 0])}
    assert steps(LADDER[:2], credit, PriceConfig())[0]["of"] == "accuracy"
    assert steps(LADDER[:2], {**credit, "small": np.array([1.0, 1, 1, 0])}, PriceConfig())[0]["of"] == "credit"


def test_costs_are_totals_and_differences_with_the_range_of_the_estimate() -> None:
    step = priced()["linear", "small"]
    assert step["training"]["seconds"] == {"from": 10, "to": 100, "more": 90, "low": 90, "high": 90}
    assert step["training"]["joules"] == {"from": 360e3, "to": 3.6e6, "more": 3.24e6, "low": 1.62e6, "high": 8.1e6}
    assert step["per_1000"]["seconds"]["from"] == 1 and step["per_1000"]["seconds"]["to"] == 10
    assert step["per_1000"]["watt_hours"]["more"] == pytest.approx(0.09)
    assert (step["per_1000"]["watt_hours"]["low"], step["per_1000"]["watt_hours"]["high"]) == pytest.approx((0.045, 0.225))
    assert step["bytes"]["more"] == 0


def test_what_makes_answers_cheaper_costs_less_than_nothing() -> None:
    seconds = priced()["small+large", "cascade"]["per_1000"]["seconds"]
    assert seconds["more"] < 0


@pytest.mark.changes("price.electricity")
def test_electricity_is_paid_by_the_kilowatt_hour() -> None:
    assert priced(electricity=0.5)["linear", "small"]["training"]["money"]["to"] == pytest.approx(0.5)  # 3.6 MJ are a kilowatt-hour
    assert priced(electricity=0)["linear", "small"]["training"]["money"]["to"] == 0
    assert priced(electricity=0.5)["linear", "small"]["per_1000"]["money"]["to"] == pytest.approx(0.1 / 1000 * 0.5)


@pytest.mark.changes("price.machine")
def test_the_machine_is_paid_by_the_hour() -> None:
    step = priced(electricity=0, machine=36)["linear", "small"]
    assert step["training"]["money"]["to"] == pytest.approx(1.0)
    assert step["per_1000"]["money"]["to"] == pytest.approx(0.1)


@pytest.mark.changes("price.currency")
def test_the_currency_is_written_beside_the_prices() -> None:
    assert priced(currency="EUR")["linear", "small"]["currency"] == "EUR"


def test_what_was_not_measured_has_no_price() -> None:
    bare = [{"tier": name, "kind": "tier", "measurements": [{"name": "accuracy", "value": 0.5}]} for name in ("a", "b")]
    (step,) = steps(bare, {"a": np.zeros(5), "b": np.ones(5)}, PriceConfig())
    assert step["training"] == {"seconds": None, "joules": None, "money": None}
    assert step["per_1000"] == {"seconds": None, "watt_hours": None, "money": None}
    assert step["bytes"] is None


def test_one_tier_has_no_steps() -> None:
    assert steps(LADDER[:1], CREDIT, PriceConfig()) == []
