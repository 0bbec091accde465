"""How a learning went: one point for every second or so, told while it goes on, kept line by line, and read again. Knows no learner and no sink.

A curve's file has one JSON object a line: the curve's name and the fields of a point, but for those that say nothing. A line is written at
once, and what a kill left of one is not read.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from penjing.core.files import write_text

_WINDOW_SECONDS = 10.0
"""Over how much of the immediate past speeds are told."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a learning is."""

    step: int
    """Steps of the optimizer done, of all epochs."""
    epoch: float
    """Epochs done, with a fraction."""
    seconds: float
    """Spent on learning until here, before a kill too."""
    loss: float
    """Mean training loss of the rows since the last point; NaN where there were none."""
    rate: float
    """Learning rate of the last step."""
    examples: int = 0
    """Rows learnt from since the last point."""
    tokens: int = 0
    """Tokens (or rows, of what has none) since the last point."""
    operations: float = 0.0
    """Multiply-adds x 2 since the last point, forward and back; 0 where they were not counted."""
    validation_loss: float | None = None
    """Where the point ends an epoch."""
    quality: float | None = None
    """How right the answers to the validation rows are, 0 to 1, where the point ends an epoch."""
    joules: float = 0.0
    """Since the beginning."""
    of_steps: int = 0
    """Steps of the whole learning, at most; 0 where it is not known."""
    of_epochs: int = 0
    """Epochs of the whole learning, at most; 0 where it is not known."""
    peak: float = 0.0
    """Multiply-adds x 2 a second that the machine was measured to do at most, in the number format of this learning; 0 where it was not."""


Tell = Callable[[str, Point], None]
"""(name of the curve, such as "fine-tuning"; point) → told."""


def nobody(name: str, point: Point) -> None:
    """Tell nobody."""


class Recorder:
    """A Tell that keeps every point in the file at `path` and passes it on.

    A point whose step is not beyond those before it takes their place: so the points that a killed try had past its last checkpoint vanish,
    and those that a learning has gone back behind.

    live: told every point as it comes. whole: told the points that an earlier try left as well, before the first of this one.
    """

    def __init__(self, path: Path, live: Sequence[Tell] = (), whole: Sequence[Tell] = ()) -> None:
        self.path, self._live, self._whole = path, live, whole
        self._steps: dict[str, int] = {}

    def __call__(self, name: str, point: Point) -> None:
        if name not in self._steps:
            self._go_on(name, point.step)
        elif point.step < self._steps[name]:
            self._keep(name, point.step)
        self._steps[name] = point.step
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(name, point))
        for tell in (*self._live, *self._whole):
            tell(name, point)

    def _go_on(self, name: str, step: int) -> None:
        """Begin the curve `name` at `step`, after what an earlier try left."""
        if not self.path.exists():
            return
        kept = self._keep(name, step)
        if not self._steps:
            for curve, points in kept.items():
                for point in points:
                    for tell in self._whole:
                        tell(curve, point)

    def _keep(self, name: str, step: int) -> dict[str, list[Point]]:
        """Drop the points of the curve `name` from `step` on, and half a line; return what is left."""
        kept = read(self.path)
        kept[name] = [point for point in kept.get(name, []) if point.step < step]
        write_text(self.path, "".join(_line(curve, point) for curve, points in kept.items() for point in points))
        return kept


def read(path: Path) -> dict[str, list[Point]]:
    """Return the curves in the file at `path` by name, in the order in which they began; nothing where there is no file."""
    found: dict[str, list[Point]] = {}
    if not path.exists():
        return found
    *whole, _ = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for line in whole:
        with suppress(ValueError, TypeError, KeyError):  # a machine that lost its power may leave a line of nothing
            values = json.loads(line)
            name = values.pop("curve")
            found.setdefault(name, []).append(Point(**{"loss": math.nan, **values}))
    return found


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast a learning goes; None where it cannot be said."""

    tokens: float | None = None
    """Tokens (or rows, of what has none) a second."""
    peak: float | None = None
    """Share of the machine's measured peak that is used."""
    watts: float | None = None
    seconds_left: float | None = None
    """To the last step; learning may stop earlier."""


class Pace:
    """The speed of one curve over the last seconds, from its points."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque()

    def at(self, point: Point) -> Rates:
        """Return the rates at `point`, which is the next of its curve. Of the first nothing is known, as it may go on from before a kill."""
        points = self._points
        if points and (point.step < points[-1].step or point.seconds < points[-1].seconds):
            points.clear()
        points.append(point)
        while len(points) > 2 and points[1].seconds < point.seconds - _WINDOW_SECONDS:
            points.popleft()
        first, *since = points
        seconds = point.seconds - first.seconds
        return self._over(first, since, seconds) if seconds > 0 else Rates()

    def _over(self, first: Point, since: Sequence[Point], seconds: float) -> Rates:
        last = since[-1]
        operations, steps = sum(p.operations for p in since) / seconds, (last.step - first.step) / seconds
        joules = last.joules - first.joules
        return Rates(
            sum(p.tokens for p in since) / seconds,
            operations / last.peak if operations and last.peak else None,
            joules / seconds if joules > 0 else None,
            max(last.of_steps - last.step, 0) / steps if last.of_steps and steps > 0 else None,
        )


def figures(point: Point, rates: Rates) -> dict[str, float]:
    """Return all that a point says, by names that a sink may show; what is not known is not there."""
    found = {
        "loss": point.loss,
        "validation_loss": point.validation_loss,
        "quality": point.quality,
        "learning_rate": point.rate,
        "epoch": point.epoch,
        "tokens_per_second": rates.tokens,
        "share_of_peak": rates.peak,
        "watts": rates.watts,
        "joules": point.joules or None,
    }
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Point)}


def _line(name: str, point: Point) -> str:
    """Return the line of a point. What is not finite is left out: JSON has no word for it."""
    values = {
        key: value for key, value in asdict(point).items() if value != _DEFAULTS[key] and not (isinstance(value, float) and not math.isfinite(value))
    }
    return json.dumps({"curve": name, **values}, ensure_ascii=False, allow_nan=False) + "\n"
