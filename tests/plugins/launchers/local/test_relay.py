"""What a worker says arrives as it was said."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import pytest

from penjing.core.curve import Point
from penjing.core.errors import GateClosed, PenjingError, PlanError, RunFailed
from penjing.core.protocols import Silent
from penjing.plugins.launchers.local.relay import Ear, Voice
from penjing.training.workers import Lost


class Log(Silent):
    def __init__(self) -> None:
        self.lines: list[tuple[object, ...]] = []

    def start(self, what: str, total: float) -> None:
        self.lines.append(("start", what, total))

    def advance(self, done: float, note: str = "") -> None:
        self.lines.append(("advance", done, note))

    def finish(self) -> None:
        self.lines.append(("finish",))

    def say(self, sentence: str) -> None:
        self.lines.append(("say", sentence))

    def tell(self, name: str, point: Point) -> None:
        self.lines.append((name, point))


Relayed = tuple[Voice, Ear, Log, int]


@pytest.fixture
def relayed() -> Iterator[Relayed]:
    reading, writing = os.pipe()
    log, voice = Log(), Voice(writing)
    yield voice, Ear(log, log.tell), log, reading
    voice._out.close()
    os.close(reading)


def hear(ear: Ear, reading: int) -> None:
    for line in os.read(reading, 1 << 16).splitlines():
        ear.hear(line)


def test_progress_and_points_arrive_in_their_order(relayed: Relayed) -> None:
    voice, ear, log, reading = relayed
    point = Point(3, 0.5, 1.5, 0.25, 1e-3, 32, 900, 1e9, validation_loss=0.5, joules=4.0)
    voice.start("fine-tuning", 100)
    voice.advance(32, "epoch 1, loss 0.25\nand 好")
    voice.tell("fine-tuning", point)
    voice.say("It stopped.")
    voice.finish()
    hear(ear, reading)
    assert log.lines == [
        ("start", "fine-tuning", 100),
        ("advance", 32, "epoch 1, loss 0.25\nand 好"),
        ("fine-tuning", point),
        ("say", "It stopped."),
        ("finish",),
    ]


def test_a_loss_that_is_no_number_arrives_too(relayed: Relayed) -> None:
    voice, ear, log, reading = relayed
    voice.tell("learning", Point(1, 0.1, 0.1, math.nan, 0.1))
    hear(ear, reading)
    (_, point) = log.lines[0]
    assert isinstance(point, Point)
    assert math.isnan(point.loss)


def test_only_a_step_beyond_all_before_it_is_further(relayed: Relayed) -> None:
    voice, ear, _, reading = relayed
    found = []
    for name, step in (("learning", 5), ("learning", 5), ("learning", 3), ("learning", 6), ("other", 1)):
        voice.tell(name, Point(step, 0.1, 0.1, 0.5, 0.1))
        hear(ear, reading)
        found.append(ear.further)
        ear.further = False
    assert found == [True, False, False, True, True]


@pytest.mark.parametrize(
    ("error", "kind"), [(PlanError("no"), PlanError), (RunFailed("no"), RunFailed), (Lost("no"), RunFailed), (GateClosed("no"), GateClosed)]
)
def test_a_failure_is_of_its_class(relayed: Relayed, error: PenjingError, kind: type[PenjingError]) -> None:
    voice, ear, _, reading = relayed
    voice.failed(error)
    hear(ear, reading)
    assert type(ear.failure) is kind
    assert str(ear.failure) == "no"
