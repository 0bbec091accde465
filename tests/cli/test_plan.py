"""The plan is printed as a table, with what is changed, left out or too dear below it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penjing.cli import plan as verb
from penjing.cli.plan import show

ESTIMATE = {"seconds": 200.0, "seconds_low": 90.0, "seconds_high": 7200.0, "memory_bytes": 2_500_000_000, "memory_low": 1e9, "memory_high": 3e9}
TOLD: dict[str, Any] = {
    "estimates": {"transformer": {**ESTIMATE, "disk_bytes": 5e6, "why": "12 steps tried", "probed": True}},
    "costs": {"transformer": {"joules": 7200.0, "money": 0.5}},
    "currency": "EUR",
    "left_out": {"other": "it reads tables."},
    "too_dear": {},
    "changed": {"transformer": "Set for it, epochs: 1."},
}


def test_a_row_tells_what_a_tier_costs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    show(TOLD)
    told = capsys.readouterr().out
    for part in ("3 min [90 s to 2.0 h]", "2.5 GB [1.0 GB to 3.0 GB]", "5 MB", "~2 Wh", "~0.5", "EUR", "12 steps tried"):
        assert part in told
    assert "Left out, tier 'other': it reads tables." in told
    assert "Made cheaper, tier 'transformer': Set for it, epochs: 1." in told
    assert "In all about 3 min" in told


def rows(folder: Path) -> Path:
    path = folder / "rows.csv"
    path.write_text("text,answer\n" + "".join(f"word{i % 7} and {i} more,{'yes' if i % 7 < 3 else 'no'}\n" for i in range(120)))
    return path


def planned(folder: Path, *more: str) -> Any:
    arguments = [str(rows(folder)), "--target", "answer", "--tier", "linear", "--run", str(folder / "run"), *more]
    return verb.command.main(arguments, standalone_mode=False)


def test_nothing_is_learnt_by_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(tmp_path) == 0
    assert "a fit tried on" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "run" / "plan.json").exists()
    assert not (tmp_path / "run" / "train").exists()


def test_a_budget_that_nothing_fits_is_a_bad_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(tmp_path, "--set", "budget.memory=1MB") == 2
    assert "Too dear, tier 'linear': it needs about" in capsys.readouterr().out
