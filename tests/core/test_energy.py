"""Energy is measured where the machine's counters can be read, and is otherwise an estimate that says so."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from penjing.core.energy import Energy, estimated, metered


def zone(folder: Path, number: str, name: str, value: int, largest: int = 1_000_000_000) -> Path:
    place = folder / f"intel-rapl:{number}"
    place.mkdir(parents=True)
    (place / "name").write_text(f"{name}\n")
    (place / "max_energy_range_uj").write_text(f"{largest}\n")
    (place / "energy_uj").write_text(f"{value}\n")
    return place / "energy_uj"


def test_the_rise_of_every_package_is_added_up(tmp_path: Path) -> None:
    first, second = zone(tmp_path, "0", "package-0", 5_000_000), zone(tmp_path, "1", "package-1", 1_000_000)
    with metered(tmp_path) as used:
        first.write_text("7500000\n")
        second.write_text("2000000\n")
    assert used.energy.joules == used.energy.low == used.energy.high == 3.5
    assert used.energy.measured


def test_a_counter_that_begins_again_is_understood(tmp_path: Path) -> None:
    counter = zone(tmp_path, "0", "package-0", 900_000_000)
    with metered(tmp_path) as used:
        counter.write_text("200000000\n")
    assert used.energy.joules == pytest.approx(300)


def test_parts_of_a_package_are_not_counted_twice(tmp_path: Path) -> None:
    package, core = zone(tmp_path, "0", "package-0", 0), zone(tmp_path, "0:0", "core", 0)
    with metered(tmp_path) as used:
        package.write_text("2000000")
        core.write_text("1500000")
    assert used.energy.joules == 2


@pytest.mark.parametrize("broken", ["nothing there", "not a number", "gone in the middle"])
def test_a_counter_that_cannot_be_read_gives_an_estimate_and_no_error(tmp_path: Path, broken: str) -> None:
    if broken != "nothing there":
        counter = zone(tmp_path, "0", "package-0", 0)
        if broken == "not a number":
            counter.write_text("unknown")
    with metered(tmp_path) as used:
        if broken == "gone in the middle":
            counter.unlink()
    assert not used.energy.measured
    assert "an estimate" in used.energy.method
    assert used.energy.low <= used.energy.joules <= used.energy.high


def test_work_takes_more_than_waiting(tmp_path: Path) -> None:
    with metered(tmp_path) as waited:
        time.sleep(0.1)
    until = time.process_time() + 0.1
    with metered(tmp_path) as worked:
        while time.process_time() < until:
            pass
    assert worked.energy.low > 0.15 > waited.energy.low  # 0.1 s at 2 W at the least; waiting costs nothing at the least


def test_the_work_of_children_is_counted(tmp_path: Path) -> None:
    with metered(tmp_path) as used:
        child = os.spawnlp(os.P_NOWAIT, "python3", "python3", "-c", "import time\nwhile time.process_time() < 0.15: pass")
        os.waitpid(child, 0)
    assert used.energy.low > 0.2


def test_the_estimate_is_the_formula_of_its_method() -> None:
    energy = estimated(busy_seconds=30, seconds=20, cores=2)
    assert (energy.joules, energy.low, energy.high) == (30 * 4 + 10 * 0.75, 60, 320)
    assert estimated(5, 1, 2).joules == 20, "more work than cores had time for, as children give, leaves nothing idle"


def test_the_energy_is_there_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), metered(tmp_path) as used:
        raise KeyError
    assert used.seconds > 0
    assert used.energy.method


def test_energies_add_up_and_an_estimate_makes_the_sum_one() -> None:
    total = Energy(1, 1, 1, "counted", True) + Energy(2, 1, 4, "guessed", False)
    assert (total.joules, total.low, total.high, total.measured, total.method) == (3, 2, 5, False, "counted; guessed")
