"""A disk that fills up, or turns read-only, in the middle of a stage: one sentence, exit code 1, and the run goes on afterwards."""

from __future__ import annotations

import os
import random
import subprocess
import sys
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
    if os.geteuid() or not mount(folder, "size=3m"):
        pytest.skip("making a disk needs root and the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def data(tmp_path: Path) -> Path:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnop", k=7)) for _ in range(4000)]
    rows = [f"{' '.join(draw.choices(words, k=40))},{'yes' if i % 2 else 'no'}" for i in range(3000)]
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    return path


def run(tmp_path: Path, disk: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penjing", "run", str(data(tmp_path)), "--target", "label", "--tier", "linear", "--run", str(disk / "run")]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(tmp_path: Path, disk: Path) -> None:
    full = run(tmp_path, disk)
    assert full.returncode == 1, full.stderr
    assert "the disk is full. Free some space, then run the same command again" in full.stderr
    assert "Traceback" not in full.stderr
    assert (disk / "run" / "prepare" / "artefact.json").exists()
    assert not (disk / "run" / "train" / "linear").exists()
    subprocess.run(["mount", "-o", "remount,size=300m", str(disk)], check=True)
    again = run(tmp_path, disk)
    assert again.returncode == 0, again.stderr
    assert "Stage prepare: done before" in again.stderr


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
