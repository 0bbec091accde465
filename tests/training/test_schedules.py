"""Steps rise while they warm up, and fall in the shape that was asked for."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from penjing.core.types import NDArray
from penjing.training.regime import Regime
from penjing.training.schedules import rate

NAMES = get_args(Regime.model_fields["schedule"].annotation)


def shape(schedule: str, steps: int = 100, **given: Any) -> NDArray:
    regime = Regime(schedule=schedule, learning_rate=0.5, **given)
    return np.array([rate(regime, step, steps) for step in range(steps)]) / 0.5


@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_rises_for_a_tenth_in_a_line_to_the_highest_step(name: str) -> None:
    found = shape(name)
    assert found[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert found.max() == 1.0
    assert (np.diff(found[9:]) <= 0).all()
    assert (found > 0).all()
    assert shape(name, 1).tolist() == [1.0]


def test_warm_up_decides_how_long_steps_rise() -> None:
    assert shape("constant", warm_up=0.5)[:50] == pytest.approx(np.arange(1, 51) / 50)
    assert shape("constant", warm_up=0.0).min() == 1.0


def test_each_schedule_falls_in_its_own_shape() -> None:
    way = np.arange(90) / 90
    assert shape("linear")[10:] == pytest.approx(1 - way)
    assert shape("cosine")[10:] == pytest.approx((1 + np.cos(np.pi * way)) / 2)
    assert shape("exponential")[10:] == pytest.approx(0.01**way)
    assert shape("step")[10:] == pytest.approx(np.repeat([1, 0.1, 0.01], 30))
    assert shape("constant")[10:].min() == shape("plateau")[10:].min() == 1.0
