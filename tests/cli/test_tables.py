"""A report in the terminal: everything that is in it, the recommendation last, and readable at 124 columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penjing.cli.tables import leaderboard

REPORTS = Path(__file__).parents[1] / "stages" / "report"


def printed(report: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int = 124) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    leaderboard(report)
    return [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]


@pytest.fixture
def full() -> dict[str, Any]:
    report: dict[str, Any] = json.loads((REPORTS / "full.json").read_text(encoding="utf-8"))
    return report


def test_the_recommendation_comes_last_after_prices_and_standings(full: Any, capsys: Any, monkeypatch: Any) -> None:
    lines = printed(full, capsys, monkeypatch)
    assert lines[-1] == full["recommends"]
    assert lines[-2] == "* answers: cascade, by what its calibration promises."
    text = "\n".join(lines)
    assert text.index("cascade *") < text.index("What each step gains") < text.index(full["says"][0]) < text.index("Warning: ")


def test_tables_keep_to_124_columns_and_each_line_stays_one(full: Any, capsys: Any, monkeypatch: Any) -> None:
    lines = printed(full, capsys, monkeypatch)
    tables = lines[: lines.index(full["says"][0])]
    assert max(map(len, tables)) <= 124
    assert len(tables) == 3 + 5 + 3 + 4  # title, head, rule and rows of each


def test_a_step_tells_gain_interval_p_and_what_it_costs(full: Any, capsys: Any, monkeypatch: Any) -> None:
    (line,) = [line for line in printed(full, capsys, monkeypatch) if line.startswith("linear+transformer-full → cascade ")]
    step = next(step for step in full["prices"] if step["kind"] == "cascade")
    gain, seconds = step["gain"], step["per_1000"]["seconds"]
    for told in (f"{100 * gain['value']:+.1f} points [", f"{gain['p']:.2g}", f"{seconds['more']:+.3g}", "~-7.31"):
        assert told in line


def test_it_says_why_a_tier_answers_only_where_that_is_so(full: Any, capsys: Any, monkeypatch: Any) -> None:
    full["serves"] = "transformer-full"
    assert "* answers: transformer-full, the best on the validation rows." in printed(full, capsys, monkeypatch)
    full["serves"] = "linear"
    assert "* answers: linear." in printed(full, capsys, monkeypatch)


def test_a_report_of_one_tier_has_no_prices(capsys: Any, monkeypatch: Any) -> None:
    sparse = json.loads((REPORTS / "sparse.json").read_text(encoding="utf-8"))
    lines = printed(sparse, capsys, monkeypatch, columns=60)
    assert not any("What each step" in line for line in lines)
    assert lines[-1].startswith("Serve linear: ")


def test_the_measurement_of_a_package_is_printed_though_it_holds_little(full: Any, capsys: Any, monkeypatch: Any) -> None:
    entry = {"tier": "linear [red]", "measurements": full["leaderboard"][0]["measurements"]}
    little = {"task": "text-classification", "target": "condition", "leaderboard": [entry], "serves": "linear [red]", "says": []}
    lines = printed(little, capsys, monkeypatch)
    assert any(line.startswith("linear [red] *") for line in lines)
    assert "recommend" not in lines[-1]
