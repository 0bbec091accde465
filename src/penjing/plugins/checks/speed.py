"""How fast the answers come on this machine: in batches, and one row at a time."""

from __future__ import annotations

import time

import numpy as np

from penjing.core.protocols import Subject
from penjing.core.types import Measurement

MEASURES = ("predictions_per_second", "p50_latency_ms", "p95_latency_ms")
BATCH = 64
SECONDS = 2.0
"""Time given to each of the two measurements, at the most."""
ALONE = 200


def speed(subject: Subject) -> list[Measurement]:
    rows = list(subject.rows)
    subject.predict(rows[:BATCH])  # warm: shapes are compiled, files are mapped
    done, started = 0, time.perf_counter()
    while done < len(rows) and time.perf_counter() - started < SECONDS:
        done += len(subject.predict(rows[done : done + BATCH]))
    rate = done / (time.perf_counter() - started)
    waits_ms = []
    started = time.perf_counter()
    for row in rows[:ALONE]:
        before = time.perf_counter()
        subject.predict([row])
        waits_ms.append((time.perf_counter() - before) * 1000)
        if time.perf_counter() - started > SECONDS and len(waits_ms) >= 20:
            break
    p50, p95 = np.percentile(waits_ms, [50, 95])
    return [
        Measurement("predictions_per_second", rate, "1/s", None, None, done, f"batches of {BATCH}, encoding included"),
        Measurement("p50_latency_ms", float(p50), "ms", None, None, len(waits_ms), "one row at a time, encoding included", "lower"),
        Measurement("p95_latency_ms", float(p95), "ms", None, None, len(waits_ms), "one row at a time, encoding included", "lower"),
    ]
