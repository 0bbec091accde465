"""The `log:` section, the contract of a sink, and what hands a learning's points to the sinks that the user names. Knows no sink's library.

A sink only watches: one that fails is told of once and left, and learning goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from pydantic import Field

from penjing.core import plugins
from penjing.core.config import Section, check
from penjing.core.curve import Pace, Point, Recorder, Tell, figures
from penjing.core.flat import Flat, choice
from penjing.core.protocols import Progress


class Sink(Protocol):
    """Shows how a learning goes in another program. `write` should take less than a second: learning waits for it."""

    Options: ClassVar[type[Section]]

    @classmethod
    def open(cls, options: Any, folder: Path, name: str) -> Self:
        """Begin the log of the learning `name` ("reviews/transformer"). folder: where to write what belongs to the run, for this learning alone."""

    def write(self, curve: str, point: Point, figures: Mapping[str, float]) -> None:
        """Show the next point of `curve`; figures: what is known of it, by name. Where its step is below the last one's, learning has gone back."""

    def close(self, done: bool) -> None:
        """End the log; done: whether learning came to its end."""


class SinkConfig(Flat):
    """One sink and its options, written flat in one mapping. In YAML: `tensorboard`, or `{sink: mlflow, tracking: "http://10.0.0.5:5000"}`."""

    __slots__ = ("options", "sink")
    key, what = "sink", "A sink is a name"

    def __init__(self, sink: str, options: Section) -> None:
        self.sink, self.options = sink, options

    @classmethod
    def of(cls, name: str, rest: dict[str, Any]) -> SinkConfig:
        return cls(name, check(plugins.options("sinks", name), rest, f"sink {name!r}"))

    def dump(self) -> dict[str, Any]:
        return {"sink": self.sink, **self.options.model_dump(mode="json")}

    @classmethod
    def choices(cls) -> list[dict[str, Any]]:
        names = plugins.names("sinks")
        named = {"enum": names, "description": "A sink with its defaults."}
        return [named, *({**choice("sink", name, plugins.options("sinks", name)), "required": ["sink"]} for name in names)]


class LogConfig(Section):
    """Where else it is shown how tiers learn, beside the terminal and the report."""

    sinks: list[SinkConfig] = Field(default=[])
    """Sinks such as tensorboard or mlflow, each a name or a mapping of its name and options. A run that names none writes to none."""

    def refuse_missing(self) -> None:
        """Raise MissingLibrary for a sink whose library is not installed, before anything is spent."""
        for sink in self.sinks:
            plugins.load("sinks", sink.sink)


@dataclass(frozen=True, slots=True)
class Log:
    """The sinks of a run."""

    config: LogConfig = field(default_factory=LogConfig)
    folder: Path = Path("log")
    """Where they write what belongs to the run."""
    run: str = "run"
    """Name of the run."""

    @contextmanager
    def of(self, tier: str, path: Path, progress: Progress) -> Iterator[Tell]:
        """Yield what is told how `tier` learns: it keeps the curves at `path`, shows them on `progress`, and hands them to the sinks."""
        sinks = [_Watcher(sink, self.folder / sink.sink / tier, f"{self.run}/{tier}", progress) for sink in self.config.sinks]
        with ExitStack() as stack:
            for sink in sinks:
                stack.push(lambda kind, *_, sink=sink: sink.close(done=kind is None))
            yield Recorder(path, [progress.learning], sinks)


class _Watcher:
    """A Tell that hands the points of one learning to one sink, which is opened when there is something to show."""

    def __init__(self, config: SinkConfig, folder: Path, name: str, progress: Progress) -> None:
        self._config, self._folder, self._name, self._progress = config, folder, name, progress
        self._sink: Sink | None = None
        self._lost = False
        self._paces: dict[str, Pace] = {}

    def __call__(self, curve: str, point: Point) -> None:
        if self._lost:
            return
        rates = self._paces.setdefault(curve, Pace()).at(point)
        try:
            if self._sink is None:
                kind: type[Sink] = plugins.load("sinks", self._config.sink)
                self._sink = kind.open(self._config.options, self._folder, self._name)
            self._sink.write(curve, point, figures(point, rates))
        except Exception as error:
            self._lose(error)

    def close(self, done: bool) -> None:
        if self._sink is not None and not self._lost:
            try:
                self._sink.close(done)
            except Exception as error:
                self._lose(error)

    def _lose(self, error: Exception) -> None:
        self._lost = True
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        self._progress.say(f"The sink {self._config.sink!r} is left, as it failed: {first} Learning goes on, and the run keeps the curve.")
