"""Trials that follow a law are reckoned up to what the law says of all rows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penjing.core.learning.trials import Course, Descent, Trial, Trials, Whole, extrapolated
from penjing.core.types import Estimate

COLD, LOAD, READING, STEP, TOKEN, VALIDATION, EXPORT, ANSWER = 3.0, 0.4, 0.01, 0.05, 2e-4, 0.004, 5.0, 0.02
BASE, A_ROW, A_TOKEN = 700 << 20, 3000, 90_000
TOKENS = 100


def seconds(rows: int, validation: int, epochs: int, batch: int) -> float:
    """What a learner takes whose costs are known."""
    steps = -(-rows // batch)
    once = COLD + LOAD + READING * rows + EXPORT + ANSWER * (validation + 2 * min(256, validation))
    return once + epochs * (STEP * steps + TOKEN * TOKENS * rows + VALIDATION * validation)


def trial(rows: int, batch: int, cold: bool = False) -> Trial:
    validation, in_step = rows // 8, min(rows, batch)
    pace = STEP + TOKEN * TOKENS * in_step
    steps = Descent("fine-tuning", (pace,) * max(2, rows // batch), in_step, in_step * TOKENS)
    peak = BASE + A_ROW * rows + A_TOKEN * TOKENS * in_step
    return Trial(rows, validation, COLD * cold + LOAD + READING * rows, VALIDATION * validation, peak, descents=(steps,))


def trials(batch: int = 32, large: int = 64) -> Trials:
    return Trials(trial(16, batch, True), trial(16, batch), trial(large, batch), EXPORT, BASE, ANSWER, 30.0, (TOKENS,) * 64)


def whole(rows: int = 8000, epochs: int = 3, batch: int = 32, **more: Any) -> Whole:
    return Whole(rows, rows // 8, (Course(rows, epochs, batch),), formula=lambda n: Estimate(1.0, A_ROW * n, 7 * n), **more)


@pytest.mark.parametrize(("rows", "epochs", "batch"), [(8000, 3, 32), (800, 1, 32), (50_000, 10, 16), (8000, 3, 64)])
def test_the_law_of_a_descent_is_found_again(rows: int, epochs: int, batch: int) -> None:
    estimate = extrapolated(trials(batch), whole(rows, epochs, batch))
    assert estimate.seconds == pytest.approx(seconds(rows, rows // 8, epochs, batch), rel=0.02)
    assert (estimate.seconds_low or 0) < estimate.seconds < (estimate.seconds_high or 0)
    assert estimate.probed
    assert estimate.watts == 30.0
    assert estimate.disk_bytes == 7 * rows


def test_a_step_with_more_rows_than_the_trial_had_takes_longer_and_more_memory() -> None:
    estimate = extrapolated(trials(batch=256), whole(batch=256))
    assert estimate.seconds == pytest.approx(seconds(8000, 1000, 3, 256), rel=0.02)
    assert estimate.memory_bytes == pytest.approx(BASE + A_ROW * 8000 + A_TOKEN * TOKENS * 256, rel=0.1)


def test_a_piece_bounds_the_memory_of_a_step() -> None:
    estimate = extrapolated(trials(batch=256), whole(batch=256, piece=64 * TOKENS))
    assert estimate.memory_bytes == pytest.approx(BASE + A_ROW * 8000 + A_TOKEN * TOKENS * 64, rel=0.1)


def test_the_export_may_be_what_takes_the_most_memory() -> None:
    assert extrapolated(replace(trials(), export_bytes=5 << 30), whole()).memory_bytes == 5 << 30


def test_learning_that_may_stop_early_reaches_further_down() -> None:
    late, early = extrapolated(trials(), whole(epochs=20)), extrapolated(trials(), whole(epochs=20, fewest_epochs=6))
    assert early.seconds == late.seconds
    assert early.seconds_low == pytest.approx(0.36 * (late.seconds_low or 0), rel=0.25)
    assert "it may stop earlier" in early.why


def test_steps_that_scatter_widen_the_range() -> None:
    even = trials()
    scattered = tuple(np.array(even.large.descents[0].seconds) * np.array([0.2, 1.8]))
    uneven = replace(even, large=replace(even.large, descents=(replace(even.large.descents[0], seconds=scattered),)))
    width = [(e.seconds_high or 0) / (e.seconds_low or 1) for e in (extrapolated(t, whole()) for t in (even, uneven))]
    assert width[1] > 1.5 * width[0]


def test_each_descent_has_its_own_rows_and_epochs() -> None:
    one = trials()
    two = replace(one, **{n: replace(getattr(one, n), descents=getattr(one, n).descents * 2) for n in ("cold", "small", "large")})
    both = extrapolated(two, replace(whole(), courses=(Course(8000, 5, 32), Course(8000, 3, 32))))
    only = extrapolated(one, whole())
    assert both.seconds - only.seconds == pytest.approx(5 * (STEP * 250 + TOKEN * TOKENS * 8000), rel=0.02)
    few = extrapolated(two, replace(whole(), courses=(Course(1024, 1, 32), Course(8000, 3, 32))))
    assert few.seconds - only.seconds == pytest.approx(STEP * 32 + TOKEN * TOKENS * 1024, rel=0.05)


def fitted(rows: int, cold: bool = False) -> Trial:
    """A fit whose cost goes with the square of the rows."""
    return Trial(rows, rows // 8, 2.0 * cold + 0.1 + 1e-6 * rows**2, 0.0, BASE + 20_000 * rows)


def test_what_is_not_seen_step_by_step_grows_as_its_formula_does() -> None:
    tried = Trials(fitted(50, True), fitted(50), fitted(1000), 0.5, BASE, 0.0, 10.0)
    formula = Whole(9000, 1000, steps=False, formula=lambda n: Estimate(3e-6 * n**2, 10_000 * n, 0))
    estimate = extrapolated(tried, formula)
    assert estimate.seconds == pytest.approx(2.0 + 0.1 + 81 + 0.5, rel=0.01)
    assert estimate.memory_bytes == pytest.approx(BASE + 20_000 * 9000, rel=0.3)  # twice what the formula says, as the trials do


def test_a_trial_with_all_rows_is_the_answer() -> None:
    tried = Trials(fitted(50, True), fitted(50), fitted(900), 0.5, BASE, 0.0, 10.0)
    estimate = extrapolated(tried, Whole(900, 100, steps=False, formula=lambda n: Estimate(1.0 * n**3, 0, 0)))
    assert estimate.seconds == pytest.approx(2.0 + 0.1 + 0.81 + 0.5, abs=0.06)


def test_trials_are_json() -> None:
    assert Trials.read(json.loads(json.dumps(trials().as_json()))) == trials()


def test_a_slow_first_step_is_counted_once() -> None:
    def warmed(one: Trial) -> Trial:
        (steps,) = one.descents
        return replace(one, descents=(replace(steps, seconds=(steps.seconds[0] + 5.0, *steps.seconds[1:])),))

    even = trials(large=320)
    slow = replace(even, small=even.small, large=warmed(even.large))
    assert extrapolated(slow, whole()).seconds == pytest.approx(extrapolated(even, whole()).seconds + 5.0, abs=0.2)


def test_a_head_takes_as_long_with_all_rows_as_with_some() -> None:
    even = trials(large=320)
    slow = replace(even, large=replace(even.large, before=even.large.before + 3.0, head=3.0))
    assert extrapolated(slow, whole()).seconds == pytest.approx(extrapolated(even, whole()).seconds + 3.0, abs=0.2)
