"""Draws progress in the terminal: what is done, how fast, how long it will take, and how much memory is used; of a learning also how it goes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from penjing.cli.main import STOP
from penjing.core.curve import Pace, Point, Rates
from penjing.core.energy import COUNTERS

_LINE_SECONDS = 10.0
"""Between two lines of one learning where there is no terminal: an epoch of less gets none of its own."""


class Memory(ProgressColumn):
    """Resident memory of this process."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        return Text(_memory(), style="dim")


class Bars:
    """A core.protocols.Progress on standard error; where that is no terminal it says when a step begins, and of a learning when an epoch ends.

    It is also where a step hears that the user wants to stop, should the interruption itself have been lost. Raises KeyboardInterrupt.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        what, counted, note = TextColumn("{task.description}"), MofNCompleteColumn(), TextColumn("[dim]{task.fields[note]}")
        columns = (SpinnerColumn(), what, BarColumn(), counted, TimeElapsedColumn(), TimeRemainingColumn(), Memory(), note)
        hidden = not self.console.is_terminal
        self._bars = Progress(*columns, console=self.console, transient=True, disable=hidden)
        self._line = Progress(SpinnerColumn(), TextColumn("{task.description}", markup=False), console=self.console, transient=True, disable=hidden)
        self._task: TaskID | None = None
        self._learning: TaskID | None = None
        self._curves: dict[str, _Curve] = {}

    def start(self, what: str, total: float) -> None:
        _heed()
        self.finish()
        if not self.console.is_terminal:
            self.console.print(f"[dim]… {_plain(what)}[/]")
        self._bars.start()
        self._task = self._bars.add_task(what, total=total or None, note="")

    def advance(self, done: float, note: str = "") -> None:
        _heed()
        if self._task is not None:
            self._bars.update(self._task, advance=done, note=note)

    def learning(self, name: str, point: Point) -> None:
        _heed()
        curve = self._curves.setdefault(name, _Curve(name))
        parts = curve.parts(point)
        if not self.console.is_terminal:
            if curve.deserves_a_line(point):
                self.console.print(f"[dim]… {_plain('  '.join(parts))}[/]")
            return
        if self._learning is None:
            self._bars.stop()
            self._line.start()
            self._learning = self._line.add_task("", total=None)
        self._line.update(self._learning, description=fitted(parts, self.console.width - 4))

    def refresh(self) -> None:
        """Draw at once instead of at the next tick."""
        (self._bars if self._learning is None else self._line).refresh()

    def finish(self) -> None:
        if self._learning is not None:
            self._line.remove_task(self._learning)
            self._learning = None
            self._line.stop()
        self._curves.clear()
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
            self._bars.stop()

    def say(self, sentence: str) -> None:
        _heed()
        self.console.print(f"[green]•[/] {_plain(sentence)}")


class _Curve:
    """What is said of one learning."""

    def __init__(self, name: str) -> None:
        self.name, self._pace = name, Pace()
        self._validation: tuple[float | None, float | None] = None, None
        self._loss, self._what = math.nan, "rows"
        self._told = -_LINE_SECONDS

    def parts(self, point: Point) -> list[str]:
        """Return what is said of `point`, the next of this curve, in the order of the line."""
        if _judged(point):
            self._validation = point.validation_loss, point.quality
        if point.tokens != point.examples:
            self._what = "tokens"
        if math.isfinite(point.loss):
            self._loss = point.loss
        loss, quality = self._validation
        rates = self._pace.at(point)
        epoch = f"{point.epoch:.2f}".rstrip("0").rstrip(".") if point.epoch < 10 else f"{point.epoch:.0f}"
        found = [
            self.name,
            f"epoch {epoch} of {point.of_epochs}" if point.of_epochs else f"epoch {epoch}",
            f"loss {self._loss:.3f}" if math.isfinite(self._loss) else "",
            "" if loss is None else f"validation {loss:.3f}",
            "" if quality is None else f"quality {quality:.2f}",
            *_speed(self._what, rates),
            _memory(),
            "" if rates.watts is None else f"{'' if _counted() else '~'}{rates.watts:,.0f} W",
            "" if rates.seconds_left is None else f"{_clock(rates.seconds_left)} left",
        ]
        return [part for part in found if part]

    def deserves_a_line(self, point: Point) -> bool:
        """Return whether `point` ends an epoch, and one long enough, or the last."""
        ends = _judged(point) or (self._validation[0] is None and point.epoch > 0 and point.epoch == int(point.epoch))
        last = bool(point.of_epochs) and point.epoch >= point.of_epochs
        if not ends or (point.seconds - self._told < _LINE_SECONDS and not last):
            return False
        self._told = point.seconds
        return True


def fitted(parts: Sequence[str], width: int) -> str:
    """Return the parts in one line of at most `width` characters; where there is no room those go that can be missed the soonest."""
    kept = list(parts)
    for last in (" W", " GB", "% of peak", "/s"):
        if len("  ".join(kept)) > width:
            kept = [part for part in kept if not part.endswith(last)]
    return "  ".join(kept)[:width]


def _judged(point: Point) -> bool:
    """Return whether the validation rows have said something of `point`."""
    return point.validation_loss is not None and math.isfinite(point.validation_loss)


def _speed(what: str, rates: Rates) -> list[str]:
    return [
        "" if rates.tokens is None else f"{rates.tokens:,.0f} {what}/s",
        "" if rates.peak is None else f"{rates.peak:.0%} of peak",
    ]


def _clock(seconds: float) -> str:
    """Return a time as people read it: 0:09, 2:10, 1:02:10."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@cache
def _counted() -> bool:
    """Return whether the machine's energy counters can be read; else watts are an estimate."""
    try:
        return any(int(path.read_text()) >= 0 for path in COUNTERS.glob("intel-rapl:*/energy_uj"))
    except (OSError, ValueError):
        return False


def _heed() -> None:
    if STOP.is_set():
        raise KeyboardInterrupt


def _plain(sentence: str) -> str:
    """Return `sentence` with brackets that rich would take for its own markup."""
    return sentence.replace("[", r"\[")


def _memory() -> str:
    return f"{_resident_bytes() / 1e9:.1f} GB"


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
