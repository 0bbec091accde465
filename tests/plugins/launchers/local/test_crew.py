"""The one that died is named, whoever ended because of it, and nobody is left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from penjing.plugins.launchers.local import crew as rooms
from penjing.plugins.launchers.local.crew import Crew, Death
from penjing.plugins.launchers.local.relay import LOST

WAITS = "import time; time.sleep(1000)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(1000)"
KILLED = "import os; os.kill(os.getpid(), 9)"
LEFT = f"import time; time.sleep(0.3); raise SystemExit({LOST})"


def crew(folder: Path, *programs: str, heard: list[bytes] | None = None) -> Crew:
    commands = [[sys.executable, "-c", program] for program in programs]
    return Crew(commands, [folder / f"{rank}.log" for rank in range(len(programs))], os.environ, (heard if heard is not None else []).append)


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_all_that_is_said_is_heard_in_lines_and_ending_well_is_no_death(tmp_path: Path) -> None:
    heard: list[bytes] = []
    long = "print('x' * 200000); print('end')"
    with crew(
        tmp_path, long, "import sys; sys.stdout.write('ha'); sys.stdout.flush(); print('lf'); print('to the log', file=sys.stderr)", heard=heard
    ) as it:
        assert it.watch() is None
    assert sorted(heard) == [b"end", b"half", b"x" * 200000]
    assert (tmp_path / "1.log").read_text() == "to the log\n"


def test_a_killed_worker_is_named_and_the_others_are_ended(tmp_path: Path) -> None:
    with crew(tmp_path, WAITS, KILLED, WAITS) as it:
        death = it.watch()
        pids = it.pids
    assert death == Death(1, -9, tmp_path / "1.log")
    assert str(death) == "Worker 1 was killed (SIGKILL, as the system does when memory runs out)"
    assert not any(map(runs, pids))


def test_one_that_ended_because_another_died_is_not_the_cause(tmp_path: Path) -> None:
    fails = "import time; time.sleep(1); print('why', file=__import__('sys').stderr); raise SystemExit(3)"
    with crew(tmp_path, LEFT, fails) as it:
        death = it.watch()
    assert death is not None
    assert (death.rank, death.code, str(death), death.tail) == (1, 3, "Worker 1 ended with code 3", "why")


def test_one_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "GRACE_SECONDS", 0.5)
    with crew(tmp_path, LEFT, WAITS) as it:
        death = it.watch()
    assert death == Death(1, None, tmp_path / "1.log")
    assert (str(death), death.tail) == ("Worker 1 does not answer", "nothing")


def test_nobody_outlives_an_interruption_not_even_one_that_will_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "GRACE_SECONDS", 0.3)

    def interrupt(line: bytes) -> None:
        raise KeyboardInterrupt

    it = Crew([[sys.executable, "-c", STUBBORN]] * 2, [tmp_path / "a", tmp_path / "b"], os.environ, interrupt)
    with pytest.raises(KeyboardInterrupt), it:
        it.watch()
    assert len(it.pids) == 2
    assert not any(map(runs, it.pids))


def test_one_that_cannot_be_started_ends_those_before_it(tmp_path: Path) -> None:
    it = Crew([[sys.executable, "-c", WAITS], [str(tmp_path / "nothing")]], [tmp_path / "a", tmp_path / "b"], os.environ, print)
    with pytest.raises(FileNotFoundError):
        it.__enter__()
    assert len(it.pids) == 1
    assert not runs(it.pids[0])
