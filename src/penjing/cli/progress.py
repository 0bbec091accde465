"""Draws progress in the terminal: what is done, how fast, how long it will take, and how much memory is used."""

from __future__ import annotations

import os
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


class Memory(ProgressColumn):
    """Resident memory of this process."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        return Text(f"{_resident_bytes() / 1e9:.1f} GB", style="dim")


class Bars:
    """A core.protocols.Progress on standard error; where that is no terminal it says only when a step begins.

    It is also where a step hears that the user wants to stop, should the interruption itself have been lost. Raises KeyboardInterrupt.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        what, counted, note = TextColumn("{task.description}"), MofNCompleteColumn(), TextColumn("[dim]{task.fields[note]}")
        columns = (SpinnerColumn(), what, BarColumn(), counted, TimeElapsedColumn(), TimeRemainingColumn(), Memory(), note)
        self._bars = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self._task: TaskID | None = None

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

    def refresh(self) -> None:
        """Draw at once instead of at the next tick."""
        self._bars.refresh()

    def finish(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
            self._bars.stop()

    def say(self, sentence: str) -> None:
        _heed()
        self.console.print(f"[green]•[/] {_plain(sentence)}")


def _heed() -> None:
    if STOP.is_set():
        raise KeyboardInterrupt


def _plain(sentence: str) -> str:
    """Return `sentence` with brackets that rich would take for its own markup."""
    return sentence.replace("[", r"\[")


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
