"""Shapes: B rows, W width of the output."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from penjing.core.types import NDArray
from penjing.stages.calibrate.reference import Blends, best

COST = {"a": 1.0, "b": 10.0, "c": 100.0}


def blends(count: int = 400, seed: int = 0, **strengths: float) -> Blends:
    random = np.random.default_rng(seed)
    target = random.integers(0, 3, count)
    said = {name: random.normal(0, 1, (count, 3)) + strength * np.eye(3)[target] for name, strength in strengths.items()}
    return Blends(said, target, "softmax")


def chosen(of: Blends) -> tuple[str, ...]:
    def credit(logits_BW: NDArray) -> NDArray:
        return (logits_BW.argmax(axis=1) == of.target).astype(np.float64)

    def work(tiers: Sequence[str]) -> float:
        return sum(COST[tier] for tier in tiers)

    return best(of, credit, work)


def test_what_is_clearly_better_is_the_reference() -> None:
    assert chosen(blends(a=0.5, b=5.0)) == ("b",)


def test_tiers_that_know_different_things_are_blended() -> None:
    assert chosen(blends(2000, a=1.5, b=1.5)) == ("a", "b")


def test_what_is_better_by_less_than_an_error_is_not_worth_its_work() -> None:
    of = blends(a=3.0)
    better, right = of.said["a"].copy(), of.said["a"].argmax(axis=1) == of.target
    for row in np.flatnonzero(~right)[:2]:
        better[row] = 5 * np.eye(3)[of.target[row]]
    row = np.flatnonzero(right)[0]
    better[row] = 5 * np.eye(3)[(of.target[row] + 1) % 3]
    of.said["b"] = better  # type: ignore[index]
    assert (better.argmax(axis=1) == of.target).sum() == right.sum() + 1
    assert chosen(of) == ("a",)


def test_the_error_is_that_of_the_paired_difference() -> None:
    # 1 % better on every draw of rows: far less than the error of either accuracy, and far more than that of their difference.
    of = blends(4000, a=1.0)
    better = of.said["a"].copy()
    wrong = np.flatnonzero(better.argmax(axis=1) != of.target)[:40]
    better[wrong] = 5 * np.eye(3)[of.target[wrong]]
    of.said["b"] = better  # type: ignore[index]
    assert chosen(of) != ("a",)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_blend_of_a_few_tiers_is_tried(count: int) -> None:
    names = "abcd"[:count]
    every = {c for n in range(1, count + 1) for c in combinations(names, n)}
    found = blends(30, **dict.fromkeys(names, 1.0)).candidates()
    assert set(found) == every
    assert len(found) == len(every)


def test_of_many_tiers_not_all_blends_are_tried_and_none_twice() -> None:
    names = "abcdefgh"
    found = blends(30, **dict.fromkeys(names, 1.0)).candidates()
    assert len(found) == len(set(found)) == 8 + 28 + 6
    assert {("h",), ("c", "g"), tuple(names)} <= set(found)


def test_a_blend_is_fitted_once() -> None:
    of = blends(a=1.0, b=1.0)
    assert of.of(["a", "b"]) is of.of(("a", "b"))
