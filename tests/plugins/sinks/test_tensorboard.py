"""What is written is what TensorBoard's own reader finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penjing.core.curve import Pace, Point, figures
from penjing.core.learning.sinks import Log, LogConfig, SinkConfig
from penjing.core.protocols import Silent

pytest.importorskip("tensorboard", reason="TensorBoard is an extra")

from penjing.plugins.sinks.tensorboard.sink import Tensorboard


def point(step: int, loss: float, **more: Any) -> Point:
    return Point(step, step / 4, float(step), loss, 0.01 / step, **more)


def write(sink: Tensorboard, curve: str, *points: Point) -> None:
    pace = Pace()
    for one in points:
        sink.write(curve, one, figures(one, pace.at(one)))


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder))
    reader.Reload()
    return {tag: [(event.step, round(event.value, 5)) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def test_the_reader_finds_every_figure_under_its_curve(tmp_path: Path) -> None:
    sink = Tensorboard.open(Tensorboard.Options(), tmp_path, "reviews/net")
    write(sink, "fine-tuning", point(1, 2.0), point(2, 1.5, tokens=300, validation_loss=1.75, quality=0.5))
    write(sink, "head", point(1, 9.0))
    sink.close(done=True)
    found = scalars(tmp_path / "fine-tuning")
    assert found["loss/training"] == [(1, 2.0), (2, 1.5)]
    assert found["loss/validation"] == [(2, 1.75)]
    assert found["learning_rate"] == [(1, 0.01), (2, 0.005)]
    assert found["tokens_per_second"] == [(2, 300.0)]
    assert found["quality"] == [(2, 0.5)]
    assert scalars(tmp_path / "head")["loss/training"] == [(1, 9.0)]


def test_what_was_written_before_a_kill_can_be_read(tmp_path: Path) -> None:
    open_still = Tensorboard.open(Tensorboard.Options(), tmp_path, "net")
    write(open_still, "a", point(1, 2.0))
    assert scalars(tmp_path / "a")["loss/training"] == [(1, 2.0)]
    open_still.close(done=False)


def test_a_resumed_curve_is_shown_once(tmp_path: Path) -> None:
    for points in ([point(1, 2.0), point(2, 8.0), point(3, 9.0)], [point(1, 2.0), point(2, 1.5)]):
        sink = Tensorboard.open(Tensorboard.Options(), tmp_path, "net")
        write(sink, "a", *points)
        sink.close(done=False)
    assert scalars(tmp_path / "a")["loss/training"] == [(1, 2.0), (2, 1.5)]


def test_a_curve_that_went_back_is_shown_as_it_went_on(tmp_path: Path) -> None:
    sink = Tensorboard.open(Tensorboard.Options(), tmp_path, "net")
    write(sink, "a", point(1, 2.0), point(2, 7.0), point(3, 8.0), point(2, 1.5), point(2, 1.25), point(3, 1.0))
    sink.close(done=True)
    assert scalars(tmp_path / "a")["loss/training"] == [(1, 2.0), (2, 1.5), (2, 1.25), (3, 1.0)]


@pytest.mark.changes("sinks.tensorboard.folder")
def test_several_runs_may_share_a_folder_of_the_users(tmp_path: Path) -> None:
    for options in ({}, {"folder": str(tmp_path / "all")}):
        log = Log(LogConfig(sinks=[SinkConfig.parse({"sink": "tensorboard", **options})]), tmp_path / "log", "reviews")
        with log.of("net", tmp_path / "curve.jsonl", Silent()) as tell:
            tell("a", point(1, 2.0))
    assert scalars(tmp_path / "log" / "tensorboard" / "net" / "a").keys() == scalars(tmp_path / "all" / "reviews" / "net" / "a").keys() != set()
