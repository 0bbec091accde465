"""How much energy a piece of work took: measured by the processor's own counters where they can be read, else an estimate that says so.

Knows the machine's counters and clocks; not what the work was. It never fails the work that it watches.

Measured: Linux's powercap files of Intel's and AMD's RAPL counters (kernel documentation, power/powercap), packages only. They count everything
that ran on the machine meanwhile.

Estimated, as Cloud Carbon Footprint does (Methodology, "Compute"; Etsy's Cloud Jewels 2020): watts at full load for each busy core and idle watts
for the others. It finds 0.71 to 0.78 W idle and 3.5 to 4.26 W at full load for a hardware thread of the servers of three clouds. Processors of
laptops and desktops draw 2 to 10 W a core by their makers' thermal design power; hence the range.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

COUNTERS = Path("/sys/class/powercap")
JOULES_PER_WATT_HOUR = 3600.0
_BUSY_WATTS = (2.0, 4.0, 10.0)
"""Low, likely and high draw of a core at full load."""
_IDLE_WATTS = (0.0, 0.75, 2.0)
"""The same of a core without work; low is 0, since the machine may be on for others anyway."""
_LOOK_SECONDS = 60.0
"""How often a counter is read, so that it is seen before it wraps twice: 262 kJ last 11 minutes at 400 W."""


@dataclass(frozen=True, slots=True)
class Energy:
    """What a piece of work took. Energies add up; where one part is an estimate, so is the sum."""

    joules: float
    low: float
    """Lower end of the range that an estimate gives; `joules` itself where it was measured."""
    high: float
    method: str
    measured: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __add__(self, other: Energy) -> Energy:
        methods = dict.fromkeys([self.method, other.method])
        return Energy(self.joules + other.joules, self.low + other.low, self.high + other.high, "; ".join(methods), self.measured and other.measured)


@dataclass(slots=True)
class Used:
    """What `metered` fills in when its block ends, well or not."""

    seconds: float = 0.0
    energy: Energy = field(default_factory=lambda: Energy(0.0, 0.0, 0.0, "nothing has run", True))
    joules: Callable[[], float] = lambda: 0.0
    """Says what has been used since the block began, while it goes on."""


@contextmanager
def metered(counters: Path = COUNTERS) -> Iterator[Used]:
    """Yield what will hold the seconds and the energy of the block. Blocks may stand in one another and in several threads.

    counters: the folder in which the kernel shows its `intel-rapl:N`.
    """
    used = Used()
    meter = _Meter.of(counters)
    busy, started = _busy_seconds(), time.perf_counter()

    def reckoned() -> Energy:
        return estimated(_busy_seconds() - busy, time.perf_counter() - started, _cores())

    def so_far() -> float:
        read = meter.read() if meter else None
        return reckoned().joules if read is None else read

    used.joules = so_far
    try:
        yield used
    finally:
        used.seconds = time.perf_counter() - started
        joules = meter.stop() if meter else None
        if joules is None:
            used.energy = reckoned()
        else:
            used.energy = Energy(joules, joules, joules, "the processor's own counters (RAPL), all that ran meanwhile included", True)


def estimated(busy_seconds: float, seconds: float, cores: int) -> Energy:
    """Return the estimate for work that kept cores busy for `busy_seconds` in all, on a machine that gave it `cores` for `seconds`."""
    busy = max(busy_seconds, 0.0)
    idle = max(cores * seconds - busy, 0.0)
    low, likely, high = (busy * b + idle * i for b, i in zip(_BUSY_WATTS, _IDLE_WATTS, strict=True))
    method = (
        f"an estimate, as no energy counter can be read: {_BUSY_WATTS[1]:g} W ({_BUSY_WATTS[0]:g} to {_BUSY_WATTS[2]:g}) for each busy core, "
        f"{_IDLE_WATTS[1]:g} W ({_IDLE_WATTS[0]:g} to {_IDLE_WATTS[2]:g}) for each idle one"
    )
    return Energy(likely, low, high, method, False)


class _Meter:
    """Adds up what the packages' counters rise by, and sees them begin again at 0."""

    def __init__(self, packages: dict[Path, int], looks: dict[Path, int]) -> None:
        self._range, self._last, self._microjoules = packages, looks, 0
        self._lock, self._done = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="energy", daemon=True)
        self._thread.start()

    @classmethod
    def of(cls, counters: Path) -> _Meter | None:
        """Return a running meter, or None where no counter can be read (most machines show them to the superuser only)."""
        try:
            zones = [zone for zone in counters.glob("intel-rapl:*") if (zone / "name").read_text().startswith("package")]
            packages = {zone / "energy_uj": int((zone / "max_energy_range_uj").read_text()) for zone in zones}
            return cls(packages, {path: int(path.read_text()) for path in packages}) if packages else None
        except (OSError, ValueError, RuntimeError):
            return None

    def stop(self) -> float | None:
        """Return the joules since the beginning, or None where a counter can be read no more."""
        self._done.set()
        return self.read()

    def read(self) -> float | None:
        """Return the same while it goes on."""
        try:
            self._look()
        except (OSError, ValueError):
            return None
        return self._microjoules / 1e6

    def _look(self) -> None:
        with self._lock:
            for path, largest in self._range.items():
                value = int(path.read_text())
                rise = value - self._last[path]
                self._microjoules += rise if rise >= 0 else rise + largest
                self._last[path] = value

    def _watch(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            with suppress(OSError, ValueError):
                self._look()


def _busy_seconds() -> float:
    """Return the processor's time of this process, and of its children that have ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
