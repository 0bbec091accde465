"""Tables through the prepare stage: which columns are read, how rows are divided, what they weigh, and what is said about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core.errors import BadRequest
from penjing.core.protocols import Silent
from penjing.core.rows import WEIGHT
from penjing.core.snapshot import Snapshot
from penjing.core.tasks import TaskConfig
from penjing.stages.prepare.config import DataConfig
from penjing.stages.prepare.prepare import prepare


class Told(Silent):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


def loans(path: Path, count: int = 400) -> str:
    rng = np.random.default_rng(0)
    lines = ["income,job,applied,again,paid,outcome"]
    for i in range(count):
        income, job = rng.normal(3000, 800), rng.choice(["cook", "clerk", "smith", "driver"])
        outcome = "repaid" if income + rng.normal(0, 700) > 2600 else "default"
        date, paid = f"{2020 + i % 5}-{1 + i % 12:02d}-{1 + i % 28:02d}", "yes" if outcome == "repaid" else "no"
        lines.append(f"{income:.2f},{job},{date},{i % 3},{paid},{outcome}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def prepared(tmp_path: Path, task: Any = None, told: Told | None = None, **config: Any) -> Snapshot:
    folder = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    config = {"source": loans(tmp_path / "loans.csv"), "target": "outcome", **config}
    prepare(DataConfig(**config), TaskConfig.parse(task) if task else None, 0, folder, told or Told())
    return Snapshot.open(folder)


@pytest.mark.changes("data.exclude")
def test_a_table_is_known_by_its_columns_and_excluded_ones_are_not_read(tmp_path: Path) -> None:
    told = Told()
    data = prepared(tmp_path, told=told)
    assert json.loads((data.folder / "data.json").read_text())["task"]["name"] == "tabular-classification"
    assert data.columns == ["income", "job", "applied", "again", "paid"]
    assert any("The task is tabular-classification" in s for s in told.sentences)
    assert prepared(tmp_path, exclude=["paid", "again"]).columns == ["income", "job", "applied"]


def test_a_number_of_a_table_is_its_own_task_and_options_find_theirs(tmp_path: Path) -> None:
    assert type(prepared(tmp_path, target="income").task).__name__ == "TabularRegression"
    data = prepared(tmp_path, task={"costs": {"default": {"repaid": 5}}, "reasons": 2})
    assert data.task.costs == {"default": {"repaid": 5}}  # type: ignore[attr-defined]
    assert data.task.reasons == 2  # type: ignore[attr-defined]


def test_the_target_in_disguise_is_warned_of_with_the_evidence(tmp_path: Path) -> None:
    told = Told()
    data = prepared(tmp_path, told=told)
    (warning,) = [s for s in told.sentences if "'paid'" in s and "data.exclude" in s]
    assert "100" in warning
    assert warning in json.loads((data.folder / "data.json").read_text())["warnings"]


@pytest.mark.changes("data.time")
def test_rows_divided_by_time_are_tested_on_the_latest(tmp_path: Path) -> None:
    data = prepared(tmp_path, time="applied")
    dates = {split: [row["applied"] for row in data.rows(split)] for split in ("train", "validation", "test")}
    assert max(dates["train"]) < min(dates["validation"])
    assert max(dates["validation"]) < min(dates["test"])
    assert "applied" not in data.columns, "a date that rows are divided by is no input, unless it is named"
    mixed = prepared(tmp_path)
    assert max(r["applied"] for r in mixed.rows("train")) > min(r["applied"] for r in mixed.rows("test"))


def test_a_time_that_is_none_is_refused_by_row(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"'job' \(data.time\) holds '\w+' in row 1"):
        prepared(tmp_path, time="job")
    with pytest.raises(BadRequest, match="not both"):
        prepared(tmp_path, time="applied", group="job")


@pytest.mark.changes("data.weight")
@pytest.mark.changes("data.class_weights")
def test_training_rows_carry_what_they_weigh_and_no_others(tmp_path: Path) -> None:
    data = prepared(tmp_path, weight="again", class_weights="balanced")
    rows = data.rows("train")
    by_class = {label: sum(row[WEIGHT] for row in rows if row["outcome"] == label) for label in ("default", "repaid")}
    assert all(row[WEIGHT] == 0 for row in rows if row["again"] == "0")
    assert sum(by_class.values()) == pytest.approx(len(rows))
    assert "again" not in data.columns
    assert not any(row.get(WEIGHT) for row in data.rows("test"))
    assert WEIGHT not in prepared(tmp_path).rows("train")[0]


def test_rows_of_a_small_table_that_are_alike_are_kept_and_said(tmp_path: Path) -> None:
    path, told = tmp_path / "small.csv", Told()
    path.write_text("a,b,y\n" + "".join(f"{'uvw'[i % 3]},{'pq'[i % 2]},{'no' if i % 5 else 'yes'}\n" for i in range(200)))
    folder = tmp_path / "out"
    folder.mkdir()
    prepare(DataConfig(source=str(path), target="y"), None, 0, folder, told)
    assert sum(Snapshot.open(folder).counts.values()) == 200
    assert any("taken as different cases, and kept" in s for s in told.sentences)


def test_a_missing_target_drops_its_row_with_the_reason(tmp_path: Path) -> None:
    path = Path(loans(tmp_path / "holes.csv"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(line.rpartition(",")[0] + "," if i < 5 else line for i, line in enumerate(lines[1:]))]) + "\n")
    told = Told()
    prepared(tmp_path, told=told, source=str(path))
    assert any("5 unanswered" in s for s in told.sentences)
