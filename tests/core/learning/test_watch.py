"""A learning is seen step by step, and let go on for an epoch."""

from __future__ import annotations

import time

import pytest

from penjing.core.curve import Point
from penjing.core.learning.watch import TRIED, Watch


def point(epoch: float) -> Point:
    return Point(0, epoch, 0.0, 0.0, 0.0)


def descend(watch: Watch, name: str, steps: int, epochs: int, seconds: float = 0.002) -> tuple[int, str | None]:
    """Do as a loop does; return the steps done and why it stopped."""
    watch.start(name, 0)
    done = 0
    for epoch in range(epochs):
        for _ in range(steps):
            time.sleep(seconds)
            done += 1
            if why := watch.spent():
                return done, why
        time.sleep(0.03)  # validation
        watch.tell(name, point(epoch + 1))
    return done, None


def test_it_is_over_after_an_epoch_of_some_steps() -> None:
    assert descend(Watch(), "fine-tuning", steps=10, epochs=5) == (11, TRIED)
    assert descend(Watch(), "fine-tuning", steps=2, epochs=5) == (4, TRIED)
    assert descend(Watch(), "fine-tuning", steps=2, epochs=1) == (2, None)


def test_it_is_over_after_its_seconds_but_not_before_two_steps() -> None:
    assert descend(Watch(until=0.05), "fine-tuning", steps=1000, epochs=1, seconds=0.01)[0] < 10
    assert descend(Watch(until=0.0), "fine-tuning", steps=1000, epochs=1)[0] == 2


def test_steps_are_timed_without_what_lies_between_epochs() -> None:
    watch = Watch()
    time.sleep(0.1)  # reading, before the first step
    descend(watch, "fine-tuning", steps=3, epochs=3, seconds=0.005)
    [seen] = watch.descents(rows=96, batch=32, tokens_a_row=10.0)
    assert seen.name == "fine-tuning"
    assert len(seen.seconds) == 4
    assert max(seen.seconds) < 0.03
    assert (seen.rows, seen.tokens) == (32, 320)
    assert watch.between == pytest.approx(0.03, abs=0.025)


@pytest.mark.parametrize("steps", [2, 10], ids=["ends by itself", "is stopped"])
def test_one_descent_after_the_other_is_told_apart(steps: int) -> None:
    watch = Watch()
    descend(watch, "pre-training", steps=steps, epochs=1)
    descend(watch, "fine-tuning", steps=steps, epochs=4)
    first, second = watch.descents(64, 32, 1.0)
    assert (first.name, second.name) == ("pre-training", "fine-tuning")
    assert len(first.seconds) == steps
    assert len(second.seconds) >= 4


def test_what_never_asks_is_seen_as_no_descent() -> None:
    watch = Watch()
    watch.start("linear", 3)
    watch.advance(1)
    watch.tell("linear", point(1))
    assert watch.descents(10, 1, 1.0) == ()


def test_what_is_told_of_without_a_step_is_reading() -> None:
    watch = Watch()
    watch.start("reading", 10)
    time.sleep(0.02)
    watch.finish()
    assert watch.reading >= 0.02
    before = watch.reading
    watch.start("learning", 10)
    watch.spent()
    watch.finish()
    assert watch.reading == before
