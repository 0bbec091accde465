"""What the pipeline does with a plan and a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penjing.core.errors import ConfigError, PlanError
from penjing.core.files import read_json
from penjing.pipeline.config import read_config
from penjing.pipeline.run import Run, keyed, run
from penjing.pipeline.start import signer
from penjing.stages.plan import beside


def ran(tmp_path: Path, until: Any = "train", **more: Any) -> Run:
    source = tmp_path / "rows.csv"
    source.write_text("text,answer\n" + "".join(f"word{i % 7} and {i} more,{'yes' if i % 7 < 3 else 'no'}\n" for i in range(150)))
    base = {"data": {"source": str(source), "target": "answer"}, "tiers": ["linear"], **more}
    return run(read_config(None, (), base), tmp_path / "run", signer(), until=until)


def test_what_a_tier_took_stands_beside_what_was_planned(tmp_path: Path) -> None:
    done = ran(tmp_path)
    [row] = beside(read_json(done.folder / "actual.json"))
    assert row["tier"] == "linear"
    assert row["seconds"]["actual"] > 0
    assert row["memory_bytes"]["actual"] > 20 << 20
    assert row["joules"]["actual"] > 0
    assert row["stopped"] is None


def test_what_was_taken_is_kept_when_nothing_is_learnt_again(tmp_path: Path) -> None:
    first = ran(tmp_path).actual
    again = ran(tmp_path)
    assert again.made["train/linear"].reused
    assert again.actual == first


def test_a_plan_made_later_does_not_stand_beside_what_was_learnt_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = ran(tmp_path, until="evaluate").made["report"]
    monkeypatch.setattr("penjing.core.learning.probe.probed", lambda: 1.0)
    monkeypatch.setattr("penjing.stages.plan.Plan.as_json", lambda plan: {"estimates": {}, "changed": {}, "too_dear": {}, "left_out": {}})
    again = ran(tmp_path, until="evaluate")
    assert again.made["report"].reused
    assert again.made["report"].measured == report.measured


def test_a_plan_learns_nothing_and_tries_everything(tmp_path: Path) -> None:
    done = ran(tmp_path, until="plan")
    assert done.plan["estimates"]["linear"]["probed"]
    assert done.plan["costs"]["linear"]["joules"] > 0
    assert not (done.folder / "train").exists()


def test_a_budget_that_nothing_fits_is_refused_before_anything_is_learnt(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="No tier fits the budget"):
        ran(tmp_path, budget={"time": "0.01s"})
    assert not (tmp_path / "run" / "train").exists()


def test_an_early_exit_that_is_not_there_cannot_be_packed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such early exit"):
        ran(tmp_path, pack={"tier": "linear@exit-2"})


ONE, OTHER = {"time": "1m"}, {"time": "2m"}


@pytest.mark.parametrize(
    ("noted", "budget", "known_by"),
    [
        (None, ONE, None),
        ({"stopped": None, "budget": OTHER, "keyed": None}, ONE, None),
        ({"stopped": "its time is used up", "budget": ONE, "keyed": None}, ONE, None),
        ({"stopped": "its time is used up", "budget": ONE, "keyed": None}, OTHER, OTHER),
        ({"stopped": None, "budget": OTHER, "keyed": OTHER}, ONE, OTHER),
    ],
)
def test_what_a_budget_stopped_early_is_learnt_again_with_another_budget_and_with_no_other_reason(noted: Any, budget: Any, known_by: Any) -> None:
    assert keyed(noted, budget) == known_by
