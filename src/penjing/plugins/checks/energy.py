"""How much energy the answers take on this machine."""

from __future__ import annotations

import time

from penjing.core.energy import JOULES_PER_WATT_HOUR, metered
from penjing.core.protocols import Subject
from penjing.core.types import Measurement

MEASURES = ("watt_hours_per_1000",)
BATCH = 64
SECONDS, LEAST_SECONDS = 2.0, 0.2
"""Time given to it at the most, and at the least: few rows are answered again and again, since counters are coarse."""


def energy(subject: Subject) -> list[Measurement]:
    """Return the watt-hours of a thousand answers in batches, encoding included; the interval is the range of the estimate, not a 95 % one."""
    rows = list(subject.rows)
    subject.predict(rows[:BATCH])  # warm: shapes are compiled, files are mapped
    done, seconds = 0, 0.0
    with metered() as used:
        started = time.perf_counter()
        while seconds < (SECONDS if done < len(rows) else LEAST_SECONDS):
            at = done % len(rows)
            done += len(subject.predict(rows[at : at + BATCH]))
            seconds = time.perf_counter() - started
    value, low, high = (joules / JOULES_PER_WATT_HOUR * 1000 / done for joules in (used.energy.joules, used.energy.low, used.energy.high))
    return [Measurement(MEASURES[0], value, "Wh", low, high, done, f"batches of {BATCH}, encoding included; {used.energy.method}", "lower")]
