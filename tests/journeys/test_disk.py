"""A disk that fills up, or turns read-only, in the middle of a stage: one sentence, exit code 1, and the run goes on afterwards."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.journey


def mount(folder: Path, options: str) -> bool:
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or not mount(folder, "size=80m"):
        pytest.skip("making a disk needs root and the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def data(tmp_path: Path) -> Path:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnop", k=7)) for _ in range(4000)]
    rows = [f"{' '.join(draw.choices(words, k=40))} {'granted,yes' if i % 2 else 'refused,no'}" for i in range(3000)]
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    return path


def command(tmp_path: Path, disk: Path) -> list[str]:
    return [sys.executable, "-m", "penjing", "run", str(data(tmp_path)), "--target", "label", "--tier", "linear", "--run", str(disk / "run")]


def run(tmp_path: Path, disk: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(tmp_path, disk), capture_output=True, text=True, timeout=300)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            return


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(tmp_path: Path, disk: Path) -> None:
    with subprocess.Popen(command(tmp_path, disk), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as running:
        while not (disk / "run" / "train" / ".linear.partial").exists():
            assert running.poll() is None
            time.sleep(0.002)
        fill(disk)
        _, told = running.communicate(timeout=300)
    assert running.returncode == 1, told
    assert "the disk is full. Free some space, then run the same command again" in told
    assert "Traceback" not in told
    assert (disk / "run" / "prepare" / "artefact.json").exists()
    assert not (disk / "run" / "train" / "linear").exists()
    (disk / "filler").unlink()
    again = run(tmp_path, disk)
    assert again.returncode == 0, again.stderr
    assert "Stage prepare: done before" in again.stderr


def test_a_disk_that_is_too_small_is_found_before_anything_is_learnt(tmp_path: Path, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=3m", str(disk)], check=True)
    refused = run(tmp_path, disk)
    assert refused.returncode == 2, refused.stderr
    assert "MB of disk" in refused.stderr
    assert not (disk / "run" / "train").exists()


def test_a_read_only_disk_is_told_and_the_run_goes_on_when_it_can_be_written(tmp_path: Path, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=300m", str(disk)], check=True)
    command = [sys.executable, "-m", "penjing", "prepare", str(data(tmp_path)), "--target", "label", "--run", str(disk / "run")]
    assert subprocess.run(command, capture_output=True).returncode == 0
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    refused = run(tmp_path, disk)
    assert refused.returncode == 1, refused.stderr
    assert "read-only" in refused.stderr
    assert "Traceback" not in refused.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert run(tmp_path, disk).returncode == 0
