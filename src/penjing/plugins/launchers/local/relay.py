"""What a worker says to the process that started it: JSON lines, each of one key, and both ends of them.

`{"progress": [method, arguments…]}`, `{"tell": [name, point]}`, `{"stopped": [why]}`, `{"failed": [class, sentence]}`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from penjing.core import errors
from penjing.core.curve import Point, Tell
from penjing.core.errors import PenjingError, RunFailed
from penjing.core.protocols import Progress

FAILED, LOST = 1, 75
"""Exit codes of a worker: it failed; another has gone, or does not answer."""
_TOLD = ("start", "advance", "finish", "say")


class Voice:
    """The worker's end: a Progress and a Tell."""

    def __init__(self, descriptor: int) -> None:
        self._out = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)

    def start(self, what: str, total: float) -> None:
        self._send("progress", "start", what, total)

    def advance(self, done: float, note: str = "") -> None:
        self._send("progress", "advance", done, note)

    def finish(self) -> None:
        self._send("progress", "finish")

    def say(self, sentence: str) -> None:
        self._send("progress", "say", sentence)

    def learning(self, name: str, point: Point) -> None:
        """Nothing: what is told is shown at the other end."""

    def tell(self, name: str, point: Point) -> None:
        self._send("tell", name, asdict(point))

    def stopped(self, why: str) -> None:
        self._send("stopped", why)

    def failed(self, error: PenjingError) -> None:
        self._send("failed", type(error).__name__, str(error))

    def _send(self, key: str, *values: Any) -> None:
        self._out.write(json.dumps({key: values}) + "\n")


class Ear:
    """The other end: hands on what it hears, line by line, and remembers how far learning is and what it failed of."""

    def __init__(self, progress: Progress, tell: Tell) -> None:
        self._does: dict[str, Callable[..., None]] = {
            "progress": self._progress,
            "tell": self._tell,
            "stopped": self._stopped,
            "failed": self._failed,
        }
        self._to, self._telling = progress, tell
        self.furthest: dict[str, int] = {}
        """The last step of each curve, over all starts."""
        self.further = False
        """Whether one went beyond what it had reached before; set back by who asks."""
        self.stopped: str | None = None
        """Why the allowance ended learning."""
        self.failure: PenjingError | None = None

    def hear(self, line: bytes) -> None:
        ((key, values),) = json.loads(line).items()
        self._does[key](*values)

    def _progress(self, method: str, *values: Any) -> None:
        if method in _TOLD:
            getattr(self._to, method)(*values)

    def _tell(self, name: str, values: dict[str, Any]) -> None:
        point = Point(**values)
        if point.step > self.furthest.get(name, -1):
            self.furthest[name], self.further = point.step, True
        self._telling(name, point)

    def _stopped(self, why: str) -> None:
        self.stopped = why

    def _failed(self, name: str, sentence: str) -> None:
        kind = getattr(errors, name, RunFailed)
        self.failure = kind(sentence)
