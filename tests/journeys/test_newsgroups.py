"""20 Newsgroups from file to signed package by one command: killed in every stage, and again undisturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.journey, pytest.mark.timeout(2400)]
ROOT = Path(__file__).parents[2]
STAGES = [
    "prepare",
    "train/linear",
    "export/linear",
    "train/transformer-frozen",
    "export/transformer-frozen",
    "train/transformer-full",
    "export/transformer-full",
    "calibrate",
    "evaluate",
    "report",
    "package",
]
SHORT = ["--set", "tiers.1.max_tokens=64", "--set", "tiers.2.max_tokens=64", "--set", "tiers.2.epochs=1"]
"""So that two whole runs fit a continuous integration's patience; all rows and all tiers are kept."""
TIERS = "tiers=[linear, {learner: transformer, tune: frozen}, {learner: transformer, tune: full}]"


def command(data: Path, run: Path) -> list[str]:
    source = [str(data / "newsgroups.csv"), "--target", "topic", "--test", str(data / "newsgroups-test.csv")]
    return [sys.executable, "-m", "penjing", "run", *source, "--run", str(run), "--set", TIERS, *SHORT]


def partial(run: Path, stage: str) -> Path:
    place = run / stage
    return place.with_name(f".{place.name}.partial")


def killed_in(stage: str, data: Path, run: Path) -> None:
    """Start the run, wait until `stage` is under way, and kill it without mercy."""
    with subprocess.Popen(command(data, run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while not partial(run, stage).exists():
            assert running.poll() is None, f"the run ended before {stage}"
            time.sleep(0.002)
        time.sleep(20 if stage == "train/transformer-full" else 0.3 if stage.startswith("train") else 0.02)
        running.send_signal(signal.SIGKILL)


def model_of(run: Path) -> str:
    model: str = json.loads((run / "package" / "manifest.json").read_text())["model"]
    return model


def test_a_run_killed_in_every_stage_ends_with_the_model_of_an_undisturbed_one(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "examples" / "data.py", "newsgroups", tmp_path], check=True)
    environment = dict(os.environ)
    done = subprocess.run(command(tmp_path, tmp_path / "calm"), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(done.stderr, done.stdout)
    for stage in STAGES:
        killed_in(stage, tmp_path, tmp_path / "killed")
        assert not (tmp_path / "killed" / stage).exists() or stage != "package"
    again = subprocess.run(command(tmp_path, tmp_path / "killed"), env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert model_of(tmp_path / "killed") == model_of(tmp_path / "calm")
    report = json.loads((tmp_path / "calm" / "package" / "report.json").read_text())
    accuracies = {entry["tier"]: entry["measurements"][0]["value"] for entry in report["leaderboard"]}
    assert min(accuracies.values()) > 0.5
    assert report["counts"]["train"] > 8000
    assert report["counts"]["calibration"] > 1000
    assert report["counts"]["test"] > 7000
    assert_the_cascade_pays(report, accuracies)


def assert_the_cascade_pays(report: dict[str, Any], accuracies: dict[str, float]) -> None:
    """The blend is the best that there is, the cascade gives little of it up, and the later posts of the test file are noticed to be unlike."""
    reference = "+".join(report["cascade"]["reference"])
    assert report["serves"] == "cascade"
    assert accuracies[reference] > max(accuracies["linear"], accuracies["transformer-full"])
    assert accuracies["cascade"] > accuracies[reference] - 0.015
    assert report["cascade"]["steps"][0]["share"] > 0.5
    assert any(warning.startswith("Unlike rows") for warning in report["warnings"])
