"""Shapes: B rows, G groups of answers."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.core.cascade import NEVER
from penjing.core.types import NDArray
from penjing.stages.calibrate.path import FEW, LEVELS, Said, path, risk


def step(count: int = 500, seed: int = 0, sharpness: float = 4.0, groups: int = 1) -> Said:
    """Rows that are lost less often where confidence is high."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.3, 1.0, count)
    loss = (random.random(count) < (1 - confidence) ** (sharpness / 4)).astype(np.float64)
    return Said(confidence, loss, random.integers(0, groups, count), groups)


def answered(said: Said, thresholds: NDArray) -> NDArray:
    return said.confidence >= (thresholds[said.group] if len(thresholds) > 1 else thresholds[0])


def test_risk_falls_as_confidence_rises() -> None:
    said = step()
    order = np.argsort(said.confidence)
    assert (np.diff(risk(said)[order]) <= 0).all()


def test_equal_confidences_have_equal_risks_in_whatever_order_the_rows_stand() -> None:
    loss = np.array([1.0, 1, 0, 0, 1, 0, 0, 0, 0, 0])
    confidence = np.array([0.5] * 6 + [0.9] * 4)
    said = Said(confidence, loss, np.zeros(10, np.int64), 1)
    assert len(np.unique(risk(said)[:6])) == 1
    order = np.random.default_rng(0).permutation(10)
    assert np.array_equal(risk(Said(confidence[order], loss[order], said.group, 1)), risk(said)[order])


@pytest.mark.parametrize("groups", [1, 3])
def test_the_path_begins_carefully_and_ends_with_every_row(groups: int) -> None:
    said = step(groups=groups)
    settings = [setting[0] for setting in path([said])]
    shares = [answered(said, thresholds).mean() for thresholds in settings]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.1
    assert shares[-1] == 1.0
    assert all(len(thresholds) == groups for thresholds in settings)


def test_no_setting_is_there_twice_and_no_more_than_the_levels() -> None:
    settings = [tuple(map(tuple, setting)) for setting in path([step(), step(seed=1)])]
    assert len(set(settings)) == len(settings) <= LEVELS


def test_more_is_lost_on_the_way() -> None:
    said = step(5000)
    rates = [said.loss[answered(said, setting[0])].mean() for setting in path([said])]
    assert rates[0] < 0.05
    assert rates[-1] == said.loss.mean()
    assert (np.diff(rates) > -0.01).all()


def test_a_step_that_is_safer_is_let_through_first() -> None:
    safe, unsafe = step(sharpness=12.0), step(seed=1, sharpness=1.0)
    middle = path([unsafe, safe])[LEVELS // 4]
    assert answered(unsafe, middle[0]).mean() < answered(safe, middle[1]).mean()


def test_a_step_whose_risk_is_above_the_level_answers_nothing() -> None:
    never_right = Said(np.linspace(0.3, 1, 50), np.ones(50), np.zeros(50, np.int64), 1)
    assert path([never_right, step()])[0][0].tolist() == [NEVER]


def test_each_group_has_its_own_threshold_and_a_small_one_takes_that_of_all() -> None:
    random = np.random.default_rng(0)
    group = np.r_[np.zeros(300, np.int64), np.ones(300, np.int64), np.full(FEW - 1, 2)]
    confidence = random.uniform(0, 1, len(group))
    loss = (confidence < np.array([0.2, 0.8, 0.5])[group]).astype(np.float64)
    said = Said(confidence, loss, group, 3)
    overall = Said(confidence, loss, np.zeros(len(group), np.int64), 1)
    # The level at which all that is never wrong is let through.
    careful = [setting[0] for setting in path([said])]
    taken = next(thresholds for thresholds in careful if thresholds[0] < 0.25)
    assert taken[0] == pytest.approx(0.2, abs=0.05)
    assert taken[1] == pytest.approx(0.8, abs=0.05)
    assert 0.2 < taken[2] <= 0.85
    assert len(path([overall])[0][0]) == 1


def test_one_row_has_a_path() -> None:
    assert [s[0].tolist() for s in path([Said(np.array([0.7]), np.zeros(1), np.zeros(1, np.int64), 1)])] == [[0.0]]
