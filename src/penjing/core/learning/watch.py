"""Watches a learning step by step, through nothing but what it asks and tells anyway, and lets it stop after an epoch. Knows no learner.

A learner asks its allowance after each step, tells points, and says what it begins: three moments that a clock can be read at.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from penjing.core.allowance import Allowance
from penjing.core.curve import Point
from penjing.core.learning.trials import Descent
from penjing.core.protocols import Silent

_STEPS = 4
"""Fewest steps that are watched, where there are so many."""
TRIED = "it is only tried"


@dataclass
class _Seen:
    """One descent: its steps since it began."""

    name: str = ""
    seconds: list[float] = field(default_factory=list)
    told: int = 0
    """Steps until it told how it goes last."""
    epochs: float = 0.0


@dataclass
class Watch(Allowance, Silent):
    """An allowance that is spent after an epoch, or some seconds of steps, of each descent; also who is told, and the progress of it."""

    until: float = math.inf
    """Seconds of steps of one descent."""
    seen: list[_Seen] = field(default_factory=list)
    between: float = 0.0
    """Seconds from steps to what was told after them: validation."""
    reading: float = 0.0
    """Seconds of what was begun, told of as it went on, and ended without a step."""
    last: float = field(default_factory=time.perf_counter)
    """When something was last heard."""
    ended: bool = True
    """Whether the next step is the first of a descent."""
    _began: float = 0.0
    _stepped: bool = False

    def spent(self) -> str | None:
        took = time.perf_counter() - self.last
        if self.ended:
            self.seen.append(_Seen())
        self.ended, self._stepped, now = False, True, self.seen[-1]
        now.seconds.append(took)
        whole = now.epochs >= 1 and len(now.seconds) >= _STEPS
        self.ended = whole or (sum(now.seconds) > self.until and len(now.seconds) > 1)
        self.last = time.perf_counter()
        return TRIED if self.ended else None

    def tell(self, name: str, point: Point) -> None:
        """Note how far the descent `name` is."""
        if not self.seen:
            return
        now = self.seen[-1]
        now.name = now.name or name
        now.epochs, now.told = max(now.epochs, point.epoch), len(now.seconds)
        if not self.ended:
            self.between += time.perf_counter() - self.last
            self.last = time.perf_counter()

    def start(self, what: str, total: float) -> None:
        self.ended, self._stepped = True, False
        self.last = self._began = time.perf_counter()

    def finish(self) -> None:
        if not self._stepped:
            self.reading += time.perf_counter() - self._began

    def descents(self, rows: int, batch: int, tokens_a_row: float) -> tuple[Descent, ...]:
        """Return what was seen; rows: that it learnt from, batch: of them in a step."""
        found = []
        for one in self.seen:
            # What lies before a first step belongs to it as far as it takes no longer than another.
            first, *others = one.seconds
            steps = (min(first, 1.5 * max(others)), *others) if others else (first,)
            a_step = rows * one.epochs / one.told if one.told and one.epochs else min(batch, rows)
            found.append(Descent(one.name, steps, a_step, a_step * tokens_a_row))
        return tuple(found)
