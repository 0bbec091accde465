"""What is learnt from and judged by."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.core.examples import Examples
from penjing.plugins.learners.boosted_trees.options import Options
from penjing.plugins.learners.boosted_trees.search import candidates, split


def rows(count: int, first: int = 0, weight: bool = False) -> Examples:
    numbers = np.arange(first, first + count, dtype=np.float32)[:, None]
    return Examples({"numbers": numbers}, np.zeros(count, np.int64), numbers[:, 0] if weight else None)


def numbers(examples: Examples | None) -> set[float]:
    assert examples is not None
    assert examples.weight is None or np.array_equal(examples.weight, np.asarray(examples.inputs["numbers"])[:, 0])
    return set(np.asarray(examples.inputs["numbers"])[:, 0].tolist())


def test_enough_validation_rows_judge_alone() -> None:
    found = split(rows(1000), rows(500, 1000), 0)
    assert found.whole
    assert (numbers(found.learnt), numbers(found.held_out)) == (set(range(1000)), set(range(1000, 1500)))


@pytest.mark.parametrize("weight", [False, True])
@pytest.mark.parametrize("validation", [0, 499])
def test_few_judge_beside_a_fifth_of_the_training_rows(validation: int, weight: bool) -> None:
    found = split(rows(1000, weight=weight), rows(validation, 1000, weight), 0)
    assert not found.whole
    assert numbers(found.learnt) | numbers(found.held_out) == set(range(1000 + validation))
    assert (len(found.learnt), len(numbers(found.held_out))) == (800, 200 + validation)
    assert numbers(found.learnt) != numbers(split(rows(1000, weight=weight), rows(validation, 1000, weight), 1).learnt)


def test_of_a_handful_none_is_held_out() -> None:
    assert split(rows(9), rows(0), 0).held_out is None
    assert numbers(split(rows(9), rows(2, 9), 0).held_out) == {9, 10}


def test_the_settings_given_are_tried_first_and_others_are_within_bounds() -> None:
    tried = candidates(Options(search=50, leaves=5), 0)
    assert tried[0] == Options(search=50, leaves=5)
    assert len({way.model_dump_json() for way in tried}) > 45
    assert all(Options(**way.model_dump()) == way for way in tried)
