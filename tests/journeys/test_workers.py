"""Two workers learn a tier by one command; one of them is killed on the way, and the report is that of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1800)]
WORDS = ["works", "well", "pain", "no", "help", "relief", "very", "the", "doctor", "gave", "me", "this", "worse"]


def data(folder: Path) -> Path:
    """Write texts that mostly say in one word what they are."""
    random = np.random.default_rng(0)
    lines = ["text,label"]
    for i in range(400):
        says = i % 2 if random.random() < 0.9 else 1 - i % 2
        lines.append(f"{' '.join([*random.choice(WORDS, 6), str(i), 'ab'[says]])},{'yes' if i % 2 else 'no'}")
    path = folder / "data.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def command(source: Path, model: Path, run: Path) -> list[str]:
    tier = {
        "learner": "transformer",
        "model": f"path:{model}",
        "tune": "full",
        "epochs": 300,
        "batch_size": 32,
        "max_tokens": 32,
        "unknown_tokens_at_most": 1,
    }
    options = [f"tiers={json.dumps(['linear', tier])}", "distributed.mode=data-parallel", "distributed.threads=1"]
    return [sys.executable, "-m", "penjing", "evaluate", str(source), "--target", "label", "--run", str(run), *(f"--set={one}" for one in options)]


def children_of(parent: int) -> list[int]:
    found = [path.read_text().split() for path in Path(f"/proc/{parent}/task").glob("*/children")]
    return sorted(int(pid) for pids in found for pid in pids)


def accuracies(run: Path) -> dict[str, float]:
    report = json.loads((run / "report" / "report.json").read_text())
    return {entry["tier"]: m["value"] for entry in report["leaderboard"] for m in entry["measurements"] if m["name"] == "accuracy"}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two workers want two cores")
def test_a_killed_worker_changes_no_figure_of_the_report(tmp_path: Path, tiny_model: Path) -> None:
    source = data(tmp_path)
    subprocess.run(command(source, tiny_model, tmp_path / "undisturbed"), check=True, capture_output=True)
    with subprocess.Popen(
        command(source, tiny_model, tmp_path / "disturbed"), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as running:
        checkpoints = tmp_path / "disturbed" / "train" / ".transformer-full.partial" / "checkpoints"
        while not list(checkpoints.glob("job/worker-1.log")):
            assert running.poll() is None
            time.sleep(0.05)
        time.sleep(12)
        assert not (checkpoints / "job" / "learner").exists()
        os.kill(children_of(running.pid)[1], signal.SIGKILL)
        _, told = running.communicate(timeout=900)
    assert running.returncode == 0, told
    assert "Worker 1 was killed (SIGKILL" in told
    assert "all 2 go on from the last checkpoint" in told
    assert accuracies(tmp_path / "disturbed") == accuracies(tmp_path / "undisturbed")
