"""What one piece of learning may still spend, asked while it goes on. The default is without bounds. Knows no config and no learner."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Allowance:
    """Bounds of one learning, from the moment this is made."""

    seconds: float = math.inf
    joules: float = math.inf
    gain_per_watt_hour: float = 0.0
    """Quality (0 to 1) that learning must gain for each watt-hour: once it gains less, it no longer pays."""
    drawn: Callable[[], float] = lambda: 0.0
    """Joules used since the beginning."""
    began: float = field(default_factory=time.monotonic)
    stopped: str | None = field(default=None, init=False)
    """Why learning was told to stop; None where it was not."""

    def spent(self) -> str | None:
        """Return why learning must stop with the best it has, in words that end a sentence; None where it may go on."""
        seconds, joules = time.monotonic() - self.began, self.drawn()
        if seconds > self.seconds:
            self.stopped = f"its time ({self.seconds:,.0f} s) is used up"
        elif joules > self.joules:
            self.stopped = f"its energy ({self.joules:,.0f} J) is used up"
        return self.stopped
