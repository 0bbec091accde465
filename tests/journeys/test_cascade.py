"""Every kind of step on real texts by the command: static, taught and early ones, a promise, a gate that closes, an override, a served answer."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1500)]
ROOT = Path(__file__).parents[2]
CONFIG = """
data: {source: topics.csv, target: topic, columns: [text], test: 0.2, calibration: 0.25, unlabelled: more.csv}
tiers:
  - {learner: static-embedding, name: static, epochs: 5}
  - linear
  - {learner: linear, name: pupil, teacher: reference}
  - {learner: transformer, tune: frozen, max_tokens: 64, exits: [3]}
cascade: {keep: agreement, agreement: 0.9}
budget: {time: 1h, memory: 20GB}
price: {electricity: 0.3, currency: EUR}
"""


def penjing(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "penjing", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six of the twenty groups: 2,400 texts with their topic, and 600 without."""
    folder = tmp_path_factory.mktemp("cascade")
    subprocess.run([sys.executable, ROOT / "examples" / "data.py", "newsgroups", folder], check=True)
    csv.field_size_limit(1 << 30)
    with (folder / "newsgroups.csv").open(newline="", encoding="utf-8") as file:
        groups: dict[str, list[str]] = {}
        for row in csv.DictReader(file):
            groups.setdefault(row["topic"], []).append(row["text"][:2000])
    chosen = {topic: texts[:500] for topic, texts in sorted(groups.items())[:6]}
    with (folder / "topics.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "topic"], *([text, topic] for topic, texts in chosen.items() for text in texts[:400])])
    with (folder / "more.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for texts in chosen.values() for text in texts[400:])])
    (folder / "penjing.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def report(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_HOME", str(folder / "home"))
        done = penjing(folder, "run", "--run", "run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Parity learnt → exported: 100.0%") == 5
    assert "Parity exported → packaged: 100.0%" in done.stderr
    found: dict[str, Any] = json.loads((folder / "run" / "package" / "report.json").read_text())
    assert found["recommends"] in done.stdout
    return found


@pytest.fixture(autouse=True)
def same_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(folder / "home"))


def test_every_step_is_measured_and_priced(report: dict[str, Any]) -> None:
    tiers = {entry["tier"] for entry in report["leaderboard"] if entry["kind"] == "tier"}
    assert tiers == {"static", "linear", "pupil", "transformer-frozen", "transformer-frozen@exit-3"}
    for entry in report["leaderboard"]:
        measured = {m["name"] for m in entry["measurements"]}
        assert measured >= {"accuracy", "predictions_per_second", "size_bytes", "watt_hours_per_1000"}
        assert entry["energy_to_learn"]["low"] <= entry["energy_to_learn"]["joules"] <= entry["energy_to_learn"]["high"]
    assert {step["currency"] for step in report["prices"]} == {"EUR"}
    assert all(step["gain"]["low"] <= step["gain"]["value"] <= step["gain"]["high"] for step in report["prices"])


def test_tiers_are_calibrated_on_rows_kept_for_it(report: dict[str, Any]) -> None:
    for told in report["reliability"].values():
        assert told["method"] in ("none", "temperature", "vector", "isotonic")
        assert told["after"]["log_loss"] <= told["before"]["log_loss"] * 1.1
    frozen = report["reliability"]["transformer-frozen"]
    assert frozen["after"]["ece"] < 0.15


def test_the_promise_is_told_and_holds_on_the_test_rows(report: dict[str, Any]) -> None:
    cascade = report["cascade"]
    assert (cascade["keep"], cascade["promise"], cascade["confidence"]) == ("agreement", 0.9, 0.95)
    assert cascade["calibration_rows"] >= cascade["needed_rows"]
    agreement = next(m for m in cascade["test"] if m["name"] == "agreement_with_reference")
    assert agreement["high"] >= 0.9
    assert sum(step["share"] for step in cascade["steps"]) == pytest.approx(1)


def test_the_report_is_one_page_that_loads_nothing(folder: Path, report: dict[str, Any]) -> None:
    page = (folder / "run" / "package" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert "default-src 'none'" in page or "default-src &#39;none&#39;" in page
    assert page.index(report["recommends"][:30].split("(")[0].strip()) < page.index("<table")


def test_a_gate_that_closes_signs_nothing_and_still_reports(folder: Path, report: dict[str, Any]) -> None:
    closed = penjing(folder, "run", "--run", "run", "--set", "release.accuracy.at_least=0.999")
    assert closed.returncode == 3, closed.stderr
    assert re.search(r"accuracy is 0\.\d+.*below the limit of at least 0.999", closed.stderr)
    judged = json.loads((folder / "run" / "report" / "report.json").read_text())
    assert [gate["name"] for gate in judged["gates"] if not gate["holds"]] == ["accuracy"]
    unknown = penjing(folder, "run", "--run", "run", "--set", "release.acuracy.at_least=0.5")
    assert (unknown.returncode, "Did you mean 'accuracy'?" in unknown.stderr) == (2, True)


def test_an_override_is_signed_with_its_name_and_reason(folder: Path, report: dict[str, Any]) -> None:
    asked = ["run", "--run", "run", "--set", "release.accuracy.at_least=0.999", "--override-by", "Ada", "--because", "a pilot of one week"]
    passed = penjing(folder, *asked)
    assert passed.returncode == 0, passed.stderr
    signed = json.loads((folder / "run" / "package" / "report.json").read_text())
    assert signed["override"] == {"by": "Ada", "reason": "a pilot of one week"}
    assert penjing(folder, "verify", "run/package").returncode == 0


def test_what_serves_answers_as_the_package_does(folder: Path, report: dict[str, Any]) -> None:
    penjing(folder, "run", "--run", "run")
    command = [sys.executable, "-u", "-m", "penjing", "serve", "run/package", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = next(line for line in server.stdout if "http://" in line)
            url = line[line.index("http://") :].split()[0]
            checked = penjing(folder, "verify", "run/package", "--url", url, "--rows", "topics.csv")
        finally:
            server.terminate()
    assert checked.returncode == 0, checked.stderr
    assert "Parity packaged → served: 256 of 256 rows the same" in checked.stdout
    assert "Score difference" in checked.stdout
