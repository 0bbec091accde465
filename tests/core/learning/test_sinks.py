"""Sinks watch a learning and never stop it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from penjing.core import plugins
from penjing.core.config import Section, check
from penjing.core.curve import Point, read
from penjing.core.errors import BadRequest, ConfigError
from penjing.core.learning.sinks import Log, LogConfig, SinkConfig
from penjing.core.protocols import Silent


class Told(Silent):
    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.points: list[tuple[str, int]] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def learning(self, name: str, point: Point) -> None:
        self.points.append((name, point.step))


class List:
    """A sink that keeps what it is given, and fails where it is told to."""

    class Options(Section):
        fail: str = ""

    opened: ClassVar[list[List]] = []

    def __init__(self, options: Any, folder: Path, name: str) -> None:
        self.options, self.folder, self.name = options, folder, name
        self.written: list[tuple[str, int, float]] = []
        self.closed: list[bool] = []

    @classmethod
    def open(cls, options: Any, folder: Path, name: str) -> List:
        if options.fail == "open":
            raise OSError("no route to host\nand more")
        cls.opened.append(cls(options, folder, name))
        return cls.opened[-1]

    def write(self, curve: str, point: Point, figures: Mapping[str, float]) -> None:
        if self.options.fail == "write":
            raise RuntimeError("full")
        self.written.append((curve, point.step, figures["loss"]))

    def close(self, done: bool) -> None:
        if self.options.fail == "close":
            raise RuntimeError("gone")
        self.closed.append(done)


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> type[List]:
    monkeypatch.setattr(List, "opened", [])
    load = plugins.load
    monkeypatch.setattr(plugins, "load", lambda kind, name: List if (kind, name) == ("sinks", "list") else load(kind, name))
    return List


def log(folder: Path, fail: str = "") -> Log:
    return Log(LogConfig(sinks=[SinkConfig("list", List.Options(fail=fail))]), folder / "log", "reviews")


def point(step: int) -> Point:
    return Point(step, step / 10, float(step), 1.0 / step, 0.01)


def test_points_are_kept_shown_and_handed_to_the_sink(tmp_path: Path, sink: type[List]) -> None:
    told = Told()
    with log(tmp_path).of("net", tmp_path / "curve.jsonl", told) as tell:
        assert sink.opened == [], "a tier of which nothing is told opens none"
        tell("fine-tuning", point(1))
        tell("fine-tuning", point(2))
    (one,) = sink.opened
    assert (one.name, one.folder) == ("reviews/net", tmp_path / "log" / "list" / "net")
    assert one.written == [("fine-tuning", 1, 1.0), ("fine-tuning", 2, 0.5)]
    assert one.closed == [True]
    assert told.points == [("fine-tuning", 1), ("fine-tuning", 2)]
    assert len(read(tmp_path / "curve.jsonl")["fine-tuning"]) == 2


def test_a_learning_that_fails_is_closed_as_not_done(tmp_path: Path, sink: type[List]) -> None:
    with pytest.raises(KeyboardInterrupt), log(tmp_path).of("net", tmp_path / "curve.jsonl", Told()) as tell:
        tell("a", point(1))
        raise KeyboardInterrupt
    assert sink.opened[0].closed == [False]


@pytest.mark.parametrize(("fail", "why"), [("open", "no route to host"), ("write", "full"), ("close", "gone")])
def test_a_sink_that_fails_is_told_of_once_and_learning_goes_on(tmp_path: Path, sink: type[List], fail: str, why: str) -> None:
    told = Told()
    with log(tmp_path, fail).of("net", tmp_path / "curve.jsonl", told) as tell:
        tell("a", point(1))
        tell("a", point(2))
    assert len(told.sentences) == 1
    assert f"'list' is left, as it failed: {why} Learning goes on" in told.sentences[0].replace(".", "")
    assert len(read(tmp_path / "curve.jsonl")["a"]) == 2


def test_a_resumed_learning_hands_the_sink_its_whole_curve(tmp_path: Path, sink: type[List]) -> None:
    for steps in ((1, 2, 3), (3, 4)):
        with log(tmp_path).of("net", tmp_path / "curve.jsonl", Told()) as tell:
            for step in steps:
                tell("a", point(step))
    assert [step for _, step, _ in sink.opened[1].written] == [1, 2, 3, 4]


@pytest.mark.changes("log.sinks")
def test_only_the_sinks_that_are_named_are_written_to(tmp_path: Path, sink: type[List]) -> None:
    with Log(LogConfig(), tmp_path / "log").of("net", tmp_path / "curve.jsonl", Told()) as tell:
        tell("a", point(1))
    assert sink.opened == [] and not (tmp_path / "log").exists()
    with log(tmp_path).of("net", tmp_path / "curve.jsonl", Told()) as tell:
        tell("a", point(1))
    assert len(sink.opened) == 1


def test_a_sink_is_a_name_or_a_mapping_and_what_it_does_not_know_is_refused() -> None:
    config = check(LogConfig, {"sinks": ["tensorboard", {"sink": "mlflow", "experiment": "pots"}]}, "here")
    assert [sink.dump() for sink in config.sinks] == [
        {"sink": "tensorboard", "folder": None},
        {"sink": "mlflow", "tracking": None, "experiment": "pots"},
    ]
    assert check(LogConfig, config.model_dump(mode="json"), "again").model_dump() == config.model_dump()
    for sinks, said in (
        (["tensorbord"], "Did you mean 'tensorboard'?"),
        ([{"sink": "mlflow", "trackin": "x"}], "'tracking'"),
        ([3], "a name or a mapping"),
    ):
        with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
            check(LogConfig, {"sinks": sinks}, "here")


def test_the_schema_lists_the_sinks_and_their_options() -> None:
    choices = LogConfig.model_json_schema()["properties"]["sinks"]["items"]["anyOf"]
    assert choices[0]["enum"] == plugins.names("sinks") == ["mlflow", "tensorboard"]
    assert "tracking" in next(choice for choice in choices if choice.get("title") == "mlflow")["properties"]


def test_a_missing_library_is_told_before_anything_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(kind: str, name: str) -> Any:
        raise BadRequest(f"The sink {name!r} needs a library that is not installed.")

    LogConfig().refuse_missing()
    monkeypatch.setattr(plugins, "load", absent)
    with pytest.raises(BadRequest, match="'list' needs a library"):
        LogConfig(sinks=[SinkConfig("list", List.Options())]).refuse_missing()
