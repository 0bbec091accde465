"""Adult income by the command: all tiers of tables to a signed package that answers over HTTP, a preset, costs, a killed run, numbers to predict."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1500)]
ROOT = Path(__file__).parents[2]
TREES = ["--tier", "tabular-linear", "--tier", "boosted-trees"]
PERSON: dict[str, Any] = {
    "age": 39,
    "workclass": "State-gov",
    "fnlwgt": 77516,
    "education": "Bachelors",
    "education-num": 13,
    "marital-status": "Never-married",
    "occupation": "Adm-clerical",
    "relationship": "Not-in-family",
    "race": "White",
    "sex": "Male",
    "capital-gain": 2174,
    "capital-loss": 0,
    "hours-per-week": 40,
    "native-country": "United-States",
}


def penjing(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "penjing", *arguments], cwd=folder, capture_output=True, text=True)


def learnt(folder: Path, run: str, *arguments: str) -> dict[str, Any]:
    """Run to a signed package and return its report."""
    done = penjing(folder, "run", "adult.csv", "--test", "adult-test.csv", "--run", run, *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / run / "package" / "report.json").read_text())
    return found


@contextmanager
def served(folder: Path, package: str) -> Iterator[str]:
    command = [sys.executable, "-u", "-m", "penjing", "serve", package, "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = next(line for line in server.stdout if "http://" in line)
            yield line[line.index("http://") :].split()[0].rstrip(".,")
        finally:
            server.terminate()


def ask(url: str, row: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(f"{url}/v1/predict", json.dumps({"rows": [row]}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)["predictions"][0]
    return found


def answers(folder: Path, package: str, rows: int) -> list[dict[str, Any]]:
    """Return what `package` says of the first test rows."""
    with (folder / "adult-test.csv").open() as file, (folder / "few.csv").open("w") as few:
        few.writelines(next(file) for _ in range(rows + 1))
    done = penjing(folder, "predict", package, "few.csv")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """9,000 people to learn from and 4,000 to measure on."""
    folder = tmp_path_factory.mktemp("tables")
    subprocess.run([sys.executable, ROOT / "examples" / "data.py", "adult", folder / "all"], check=True)
    for name, count in (("adult.csv", 9_000), ("adult-test.csv", 4_000)):
        with (folder / "all" / name).open() as file:
            (folder / name).write_text("".join(line for line, _ in zip(file, range(count + 1), strict=False)))
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    """Of a run in which nothing but the target is said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_HOME", str(folder / "home"))
        return learnt(folder, "run", "--target", "income")


@pytest.fixture(autouse=True)
def same_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(folder / "home"))


def of(report: dict[str, Any], tier: str, part: str = "measurements") -> dict[str, float]:
    """Return the measured values of one line of the leaderboard."""
    entry = next(entry for entry in report["leaderboard"] if entry["tier"] == tier)
    return {m["name"]: m["value"] for m in entry[part]}


def test_every_tier_of_tables_is_learnt_and_good(report: dict[str, Any]) -> None:
    assert report["task"] == "tabular-classification"
    tiers = {entry["tier"] for entry in report["leaderboard"] if entry["kind"] == "tier"}
    assert tiers == {"tabular-linear", "boosted-trees", "tabular-network"}
    # Always "<=50K" is right for 76 % of them. Of all 32,561 rows, LightGBM makes 87 %.
    for tier in tiers:
        assert of(report, tier)["accuracy"] > 0.84
        assert of(report, tier)["roc_auc"] > 0.89
        assert of(report, tier)["calibration_error"] < 0.05


def test_trees_are_handed_over_exactly(report: dict[str, Any]) -> None:
    assert of(report, "boosted-trees", "parity") | {"parity": 1.0, "largest_difference": 0.0} == of(report, "boosted-trees", "parity")


def test_a_served_table_answers_as_its_package_does(folder: Path, report: dict[str, Any]) -> None:
    with served(folder, "run/package") as url:
        assert ask(url, PERSON)["label"] == "<=50K"
        assert ask(url, {**PERSON, "occupation": None, "workclass": None, "age": None})["label"] == "<=50K"
        rich = {**PERSON, "capital-gain": 99_999, "marital-status": "Married-civ-spouse", "relationship": "Husband", "occupation": "Exec-managerial"}
        assert ask(url, rich)["label"] == ">50K"
        checked = penjing(folder, "verify", "run/package", "--url", url, "--rows", "adult-test.csv")
    assert checked.returncode == 0, checked.stderr
    assert "256 of 256 rows the same" in checked.stdout


def test_a_number_is_learnt_by_the_same_command(folder: Path) -> None:
    found = learnt(folder, "age", "--target", "age", *TREES)
    assert found["task"] == "tabular-regression"
    baseline = next(m["value"] for m in found["baseline"] if m["name"].startswith("baseline_"))
    first = next(entry for entry in found["leaderboard"] if entry["tier"] == "boosted-trees")["measurements"][0]
    assert (first["value"] < 0.9 * baseline) if first["better"] == "lower" else (first["value"] > baseline + 0.1)


def test_the_preset_for_credit_explains_each_answer_and_weighs_mistakes(folder: Path) -> None:
    preset = ["--target", "income", "--preset", "credit-risk", "--exclude", "sex", "--exclude", "race"]
    plain = learnt(folder, "credit", *preset)
    assert not {"sex", "race"} & set(plain["columns"])
    assert {gate["name"]: gate["limit"]["at_most"] for gate in plain["gates"] if gate["name"] == "calibration_error"} == {"calibration_error": 0.03}
    said = answers(folder, "credit/package", 200)
    assert sum(bool(answer["reasons"]) for answer in said) > 190
    assert all(len(answer["reasons"]) <= 4 and {reason["column"] for reason in answer["reasons"]} <= set(plain["columns"]) for answer in said)
    costs = learnt(folder, "costs", *preset, "--set", 'task.costs={"<=50K": {">50K": 10}}')
    assert of(costs, costs["serves"])["mean_cost"] < 0.24
    lent = [sum(answer["label"] == ">50K" for answer in some) for some in (said, answers(folder, "costs/package", 200))]
    assert lent[1] < lent[0]


def test_a_direction_that_is_demanded_holds_for_what_is_served(folder: Path) -> None:
    tiers = "tiers=[{learner: tabular-linear, monotone: {age: decreasing}}, {learner: boosted-trees, monotone: {age: decreasing}}]"
    learnt(folder, "monotone", "--target", "income", "--set", tiers, "--set", "pack.include=all")
    with (folder / "ages.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(PERSON))
        writer.writeheader()
        writer.writerows({**PERSON, "age": age} for age in range(17, 91))
    for tier in ("tabular-linear", "boosted-trees"):
        done = penjing(folder, "predict", "monotone/package", "ages.csv", "--tier", tier)
        scores = [json.loads(line)["scores"][">50K"] for line in done.stdout.splitlines()]
        assert len(scores) == 74
        assert all(later <= earlier for earlier, later in pairwise(scores)), tier


def test_a_gate_on_calibration_closes(folder: Path, report: dict[str, Any]) -> None:
    limit = ["--set", "release.calibration_error.at_most=0.0001"]
    closed = penjing(folder, "run", "adult.csv", "--test", "adult-test.csv", "--target", "income", "--run", "run", *limit)
    assert closed.returncode == 3, closed.stderr
    assert re.search(r"calibration_error is 0\.\d+.*above the limit of at most 0.0001", closed.stderr)


@pytest.mark.parametrize("stage", ["train/boosted-trees", "train/tabular-network"])
def test_a_run_killed_while_it_learns_ends_with_the_same_model(folder: Path, report: dict[str, Any], stage: str) -> None:
    run = folder / f"killed-{stage.split('/')[1]}"
    asked = ["run", "adult.csv", "--test", "adult-test.csv", "--target", "income", "--run", str(run)]
    partial = (run / stage).with_name(f".{Path(stage).name}.partial")
    command = [sys.executable, "-m", "penjing", *asked]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while not partial.exists():
            assert running.poll() is None, f"the run ended before {stage}"
            time.sleep(0.002)
        time.sleep(1)
        running.send_signal(signal.SIGKILL)
    again = penjing(folder, *asked)
    assert again.returncode == 0, again.stderr
    models = [json.loads((place / "package" / "manifest.json").read_text())["model"] for place in (run, folder / "run")]
    assert models[0] == models[1]
