"""Shapes: B rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from penjing.core.errors import ConfigError
from penjing.core.types import Estimate
from penjing.pipeline.config import read_config
from penjing.stages.budget import BudgetConfig, Climb, nothing_left

MINUTE = Estimate(60.0, 1_000_000_000, 0)


def climb(per_kwh: float = 0.0, per_hour: float = 0.0, **budget: Any) -> Climb:
    return Climb(BudgetConfig(**budget), per_kwh, per_hour)


def credit(right: int, of: int = 200) -> Any:
    return np.r_[np.ones(right), np.zeros(of - right)]


def test_without_a_budget_everything_is_begun() -> None:
    assert climb().refuses(Estimate(1e9, 10**15, 0)) is None


@pytest.mark.changes("budget.time")
@pytest.mark.parametrize(("time", "begun"), [("59s", False), ("60s", True), ("1m", True), ("0.5m", False), ("1h", True)])
def test_a_tier_that_takes_longer_than_what_is_left_is_not_begun(time: str, begun: bool) -> None:
    assert (climb(time=time).refuses(MINUTE) is None) == begun


def test_what_is_spent_counts_against_the_budget() -> None:
    up = climb(time="100s")
    up.learnt("linear", 41.0, 0.0, credit(100))
    assert up.refuses(MINUTE) == "it needs about 60 s, and of budget.time 59 s are left."
    assert up.refuses(Estimate(59.0, 0, 0)) is None


@pytest.mark.changes("budget.memory")
def test_a_tier_that_takes_more_memory_than_allowed_is_not_begun_however_little_was_taken_before() -> None:
    up = climb(memory="1GB")
    assert up.refuses(MINUTE) is None
    up.learnt("linear", 60.0, 0.0, credit(100))
    assert up.refuses(MINUTE) is None
    assert "budget.memory" in str(climb(memory="999MB").refuses(MINUTE))


@pytest.mark.changes("budget.energy")
def test_energy_is_reckoned_from_what_learning_has_drawn_so_far() -> None:
    up = climb(energy="1Wh")
    up.learnt("linear", 60.0, 1800.0, credit(100))  # half of it, at 30 W
    assert up.refuses(MINUTE) is None
    up.learnt("more", 1.0, 30.0, credit(100))
    assert "J, and of budget.energy 1,770 J are left" in str(up.refuses(MINUTE))


def test_the_first_tiers_energy_is_reckoned_from_the_cores_that_it_keeps_busy() -> None:
    assert climb(energy="0.0001Wh").refuses(MINUTE) is not None
    assert climb(energy="100kWh").refuses(MINUTE) is None


@pytest.mark.changes("budget.money")
def test_money_is_what_the_machine_and_its_energy_cost() -> None:
    assert climb(per_hour=60.0, money=1.0).refuses(MINUTE) is None
    assert "budget.money 0.5 are left" in str(climb(per_hour=60.0, money=0.5).refuses(MINUTE))
    by_energy = climb(per_kwh=1000.0, money=1.0)
    by_energy.learnt("linear", 60.0, 1800.0, credit(100))
    assert by_energy.money(60.0, 1800.0) == pytest.approx(0.5)
    assert by_energy.refuses(MINUTE) is None
    by_energy.learnt("more", 1.0, 60.0, credit(100))
    assert "budget.money" in str(by_energy.refuses(MINUTE))
    assert climb(money=0.0).refuses(MINUTE) is None  # with prices of nothing it costs nothing


@pytest.mark.changes("budget.gain")
@pytest.mark.parametrize(("gain", "stops"), [(None, False), (0.005, False), (0.3, True)])
def test_climbing_stops_once_a_step_up_is_shown_to_gain_too_little(gain: float | None, stops: bool) -> None:
    up = climb(gain=gain)
    up.learnt("linear", 1.0, 1.0, credit(150))
    assert up.refuses(MINUTE) is None
    up.learnt("frozen", 1.0, 1.0, credit(156))
    assert (up.refuses(MINUTE) is not None) == stops
    if stops:
        assert up.stopped is not None
        assert up.stopped.startswith("the step up to frozen gained +0.030 a row (")
        assert "less than budget.gain (0.3)" in up.stopped


def test_a_step_that_could_still_gain_enough_stops_nothing() -> None:
    up = climb(gain=0.02)
    up.learnt("linear", 1.0, 1.0, credit(15, 20))
    up.learnt("frozen", 1.0, 1.0, credit(15, 20))
    assert up.refuses(MINUTE) is None


def test_a_step_is_compared_with_the_best_so_far_and_not_with_the_last() -> None:
    up = climb(gain=0.05)
    for name, right in (("linear", 190), ("worse", 100)):
        up.learnt(name, 1.0, 1.0, credit(right))
    assert up.stopped is not None
    assert "step up to worse" in up.stopped
    assert up.best is not None
    assert up.best.sum() == 190


def test_a_tier_with_a_teacher_is_no_step_up() -> None:
    up = climb(gain=0.3)
    up.learnt("linear", 1.0, 1.0, credit(150))
    up.learnt("pupil", 1.0, 1.0, None)
    assert up.refuses(MINUTE) is None
    up.learnt("frozen", 1.0, 1.0, credit(150))
    assert up.refuses(MINUTE) is not None
    assert up.refuses(MINUTE, step_up=False) is None
    assert up.seconds == 3.0


def test_without_validation_rows_nothing_is_judged() -> None:
    up = climb(gain=0.3)
    for name in ("linear", "frozen"):
        up.learnt(name, 1.0, 1.0, np.zeros(0))
    assert up.refuses(MINUTE) is None


@pytest.mark.parametrize(("key", "value"), [("time", "10"), ("time", "10 parsecs"), ("memory", "8"), ("energy", "5 J"), ("time", "-1m")])
def test_an_amount_without_a_unit_that_is_known_is_refused_with_an_example(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"budget.{key}.*a number with a unit \(.*\), such as 10"):
        read_config(None, (), {"data": {"source": "x.csv"}, "budget": {key: value}})


@pytest.mark.changes("budget.gain_per_watt_hour")
@pytest.mark.parametrize("gain", [None, 0.02])
def test_a_tier_is_told_what_it_must_gain_for_its_energy(gain: float | None) -> None:
    assert climb(gain_per_watt_hour=gain).allowance(MINUTE).gain_per_watt_hour == (gain or 0.0)


def test_a_tier_may_spend_what_those_before_it_left() -> None:
    up = climb(time="100s", energy="1Wh")
    up.learnt("linear", 41.0, 600.0, credit(100))
    allowance = up.allowance(MINUTE)
    assert (allowance.seconds, allowance.joules) == (59.0, 3000.0)
    assert climb().allowance(MINUTE).seconds == math.inf


def test_money_that_is_left_is_time() -> None:
    assert climb(per_hour=60.0, money=1.0).allowance(MINUTE).seconds == pytest.approx(60.0)
    assert climb(money=0.0).allowance(MINUTE).seconds == math.inf  # with prices of nothing it costs nothing


@pytest.mark.parametrize(("time", "matters"), [("1h", False), ("61s", True), ("10s", True)])
def test_a_budget_matters_where_the_high_end_of_the_range_does_not_fit(time: str, matters: bool) -> None:
    assert climb(time=time).matters(Estimate(60.0, 1, 0, seconds_high=70.0)) == matters
    assert not climb().matters(MINUTE)


def test_what_a_tier_draws_is_taken_from_its_trial() -> None:
    tried = Estimate(60.0, 1, 0, watts=100.0)
    assert climb(energy="1Wh").refuses(tried) is not None
    assert climb(energy="2Wh").refuses(tried) is None
    assert climb(per_kwh=600.0).costs(tried) == {"joules": 6000.0, "money": pytest.approx(1.0)}


def test_a_plan_counts_what_it_expects_to_spend() -> None:
    up = climb(time="100s")
    up.expects(MINUTE)
    assert "budget.time 40 s are left" in str(up.refuses(MINUTE))


def test_a_budget_that_nothing_fits_names_every_tier_and_why() -> None:
    error = nothing_left({"linear": "it needs more.", "full": "it needs much more."})
    assert str(error) == "No tier fits the budget:\nTier 'linear': it needs more.\nTier 'full': it needs much more."
