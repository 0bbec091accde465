from __future__ import annotations

import math
from pathlib import Path

import pytest

from penjing.core.curve import Pace, Point, Recorder, figures, read


def point(step: int, loss: float = 1.0, **more: float) -> Point:
    return Point(step, step / 10, float(step), loss, 0.01, **more)  # type: ignore[arg-type]


def test_what_was_told_is_read_again(tmp_path: Path) -> None:
    told = [point(1, 0.123456789), point(2, examples=8, tokens=90, validation_loss=0.5, quality=0.75, joules=3.5, of_steps=9, of_epochs=3, peak=1e12)]
    recorder = Recorder(tmp_path / "curve.jsonl")
    for one in told:
        recorder("fine-tuning", one)
    recorder("head", point(7))
    assert read(tmp_path / "curve.jsonl") == {"fine-tuning": told, "head": [point(7)]}
    assert read(tmp_path / "none.jsonl") == {}


def test_what_is_not_finite_leaves_a_file_that_json_knows(tmp_path: Path) -> None:
    Recorder(tmp_path / "curve.jsonl")("a", point(1, math.nan, validation_loss=math.inf))
    text = (tmp_path / "curve.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text
    (found,) = read(tmp_path / "curve.jsonl")["a"]
    assert math.isnan(found.loss) and found.validation_loss is None


def test_half_a_line_is_not_read_and_not_built_upon(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    Recorder(path)("a", point(1))
    with path.open("a") as file:
        file.write('{"curve": "a", "step": 2, "ep')
    assert read(path) == {"a": [point(1)]}
    Recorder(path)("a", point(3))
    assert read(path) == {"a": [point(1), point(3)]}


def test_after_a_resume_the_points_past_the_resumed_step_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    killed = Recorder(path)
    for step in (1, 2, 3, 4):
        killed("a", point(step, 9.0))
    resumed = Recorder(path)
    resumed("a", point(3, 5.0))
    resumed("a", point(4, 4.0))
    assert [(p.step, p.loss) for p in read(path)["a"]] == [(1, 9.0), (2, 9.0), (3, 5.0), (4, 4.0)]


def test_a_learning_that_goes_back_takes_its_points_with_it_and_no_others(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "curve.jsonl")
    recorder("b", point(9))
    for step, loss in ((1, 1.0), (2, 1.0), (3, math.nan), (2, 2.0), (2, 2.5)):
        recorder("a", point(step, loss))
    found = read(tmp_path / "curve.jsonl")
    assert [(p.step, p.loss) for p in found["a"]] == [(1, 1.0), (2, 2.0), (2, 2.5)]
    assert found["b"] == [point(9)]


def test_whoever_wants_the_whole_curve_is_told_what_an_earlier_try_left(tmp_path: Path) -> None:
    live: list[int] = []
    whole: list[tuple[str, int]] = []
    killed = Recorder(tmp_path / "curve.jsonl")
    for step in (1, 2, 3):
        killed("a", point(step))
    killed("b", point(1))
    resumed = Recorder(tmp_path / "curve.jsonl", [lambda _, p: live.append(p.step)], [lambda name, p: whole.append((name, p.step))])
    resumed("a", point(3))
    resumed("b", point(2))
    assert live == [3, 2]
    assert whole == [("a", 1), ("a", 2), ("b", 1), ("a", 3), ("b", 2)]


def test_rates_are_those_of_the_last_seconds() -> None:
    pace = Pace()
    assert pace.at(point(0, tokens=10**9)).tokens is None, "of the first point nothing is known"
    for second in range(1, 31):
        rates = pace.at(point(second, tokens=100 if second <= 15 else 400, operations=5e9, peak=1e10, joules=7.0 * second, of_steps=100))
    assert rates.tokens == pytest.approx(400)
    assert rates.peak == pytest.approx(0.5)
    assert rates.watts == pytest.approx(7)
    assert rates.seconds_left == pytest.approx(70)


def test_rates_that_cannot_be_said_are_not() -> None:
    pace = Pace()
    pace.at(point(1))
    rates = pace.at(point(2, operations=1e9))
    assert (rates.peak, rates.watts, rates.seconds_left) == (None, None, None)
    assert pace.at(point(1)).tokens is None, "it has gone back and begins anew"
    assert pace.at(point(1)).tokens is None, "no time has passed"


def test_figures_are_what_is_known_and_finite() -> None:
    assert figures(point(5, math.nan, validation_loss=math.inf), Pace().at(point(5))) == {"learning_rate": 0.01, "epoch": 0.5}
    pace = Pace()
    pace.at(point(4))
    last = point(5, 0.5, tokens=20, quality=0.75, validation_loss=0.25, joules=2.0)
    expected = {"loss": 0.5, "validation_loss": 0.25, "quality": 0.75, "learning_rate": 0.01, "epoch": 0.5, "tokens_per_second": 20.0}
    assert figures(last, pace.at(last)) == {**expected, "watts": 2.0, "joules": 2.0}
