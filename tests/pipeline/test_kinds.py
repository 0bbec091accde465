"""Tables and images from one command to a signed package that answers: the same line as texts, and nothing beside it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from penjing import Penjing
from penjing.core.errors import GateClosed, PlanError
from penjing.pipeline.config import read_config
from penjing.pipeline.opened import opened
from penjing.pipeline.run import Run, run
from penjing.pipeline.start import make_key, signer
from penjing.stages.gate import Override
from penjing.stages.predict import predict


def loans(path: Path, count: int = 700, seed: int = 0) -> Path:
    """Write a table whose answer hangs on a number, a category, and on whether something is missing."""
    rng = np.random.default_rng(seed)
    lines = ["income,job,since,married,outcome"]
    for _ in range(count):
        income = rng.normal(3000, 900)
        job, missing = rng.choice(["cook", "clerk", "smith"]), rng.random() < 0.15
        score = (income - 3000) / 500 + {"cook": -1.5, "clerk": 0.0, "smith": 1.5}[str(job)] - 2 * missing + rng.normal(0, 0.7)
        since = "" if missing else f"{rng.integers(1, 29)}.{rng.integers(1, 13)}.{rng.integers(2001, 2024)}"
        lines.append(f"{income:.0f},{job},{since},{rng.choice(['yes', 'no'])},{'repaid' if score > 0 else 'default'}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def pictures(folder: Path, count: int = 60, size: int = 24) -> Path:
    """Write class folders of noisy images: a bright bar stands, or lies."""
    rng = np.random.default_rng(0)
    for label in ("lying", "standing"):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 90, (size, size, 3)).astype(np.uint8)
            at = rng.integers(4, size - 8)
            pixels[(slice(at, at + 4), slice(None)) if label == "lying" else (slice(None), slice(at, at + 4))] += 140
            Image.fromarray(pixels).save(folder / label / f"{i}.png")
    return folder


def done(tmp_path: Path, source: Path, target: str | None, tiers: list[Any], override: Override | None = None, **config: Any) -> Run:
    make_key(lambda _: None)
    data = {"source": str(source), "target": target, **config.pop("data", {})}
    return run(read_config(None, (), {"data": data, "tiers": tiers, **config}), tmp_path / "run", signer(), override=override)


@pytest.fixture(scope="module")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    import os

    folder = tmp_path_factory.mktemp("table")
    before = os.environ.get("PENJING_HOME")
    os.environ["PENJING_HOME"] = str(folder / "home")
    try:
        tiers = ["tabular-linear", {"learner": "boosted-trees", "trees": 60}, {"learner": "tabular-network", "epochs": 4}]
        return done(folder, loans(folder / "loans.csv"), "outcome", tiers, task={"reasons": 2}, pack={"include": "all"})
    finally:
        os.environ.pop("PENJING_HOME") if before is None else os.environ.update(PENJING_HOME=before)


def test_a_table_is_learnt_measured_and_signed_by_one_command(table_run: Run) -> None:
    report = table_run.report
    assert report["task"] == "tabular-classification"
    board = {entry["tier"]: entry for entry in report["leaderboard"]}
    assert {"tabular-linear", "boosted-trees", "tabular-network"} <= set(board)
    for entry in board.values():
        accuracy = next(m for m in entry["measurements"] if m["name"] == "accuracy")
        assert accuracy["value"] > 0.75
        assert {"roc_auc", "calibration_error"} <= {m["name"] for m in entry["measurements"]}
    for name in ("tabular-linear", "boosted-trees"):
        difference = next(m for m in board[name]["parity"] if m["name"] == "largest_difference")
        assert difference["value"] == 0, "numpy runs what was learnt, bit for bit"
    assert all(gate["holds"] for gate in report["gates"])
    assert (table_run.folder / "package" / "report.html").exists()
    assert table_run.packed is not None


def test_a_packed_table_answers_rows_with_reasons_and_streams_a_file(table_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(table_run.folder.parent / "home"))
    found = opened(table_run.folder / "package", signer())
    poor, rich = ({"income": income, "job": job, "since": "3.4.2010", "married": "yes"} for income, job in ((500, "cook"), (6000.0, "smith")))
    answers = found.predictor.predict([poor, rich, {**rich, "job": "never seen", "since": None, "income": ""}])
    assert [a["label"] for a in answers[:2]] == ["default", "repaid"]
    assert "income" in {reason["column"] for reason in answers[0]["reasons"]}
    assert len(answers[0]["reasons"]) <= 2
    output = tmp_path / "out.csv"
    assert predict(found.predictor, table_run.folder.parent / "loans.csv", output, "utf-8", table_run.progress) == 700
    assert output.read_text().splitlines()[0].startswith("income,job,since,married,outcome,label,score")


def test_the_same_table_makes_the_same_model(table_run: Run, tmp_path: Path) -> None:
    again = done(tmp_path, loans(tmp_path / "loans.csv"), "outcome", [{"learner": "boosted-trees", "trees": 60}], task={"reasons": 2})
    assert again.made["train/boosted-trees"].model == table_run.made["train/boosted-trees"].model


def test_images_are_learnt_measured_and_signed_by_one_command(tmp_path: Path) -> None:
    tiers = ["pixel-linear", {"learner": "image-network", "epochs": 3, "size": 24}]
    this = done(tmp_path, pictures(tmp_path / "bars"), "label", tiers)
    report = this.report
    assert report["task"] == "image-classification"
    accuracy = {e["tier"]: next(m["value"] for m in e["measurements"] if m["name"] == "accuracy") for e in report["leaderboard"]}
    assert accuracy["pixel-linear"] > 0.9
    assert all(gate["holds"] for gate in report["gates"])
    predictor = opened(this.folder / "package", signer()).predictor
    image = (tmp_path / "bars" / "standing" / "7.png").read_bytes()
    assert predictor.predict([{"image": image}])[0]["label"] == "standing"
    assert predictor.predict([{"image": tmp_path / "bars" / "lying" / "3.png"}])[0]["label"] == "lying"
    assert json.dumps(base64.b64encode(predictor.task.example["image"]).decode())
    output = tmp_path / "out.jsonl"
    assert predict(predictor, tmp_path / "bars" / "lying" / "3.png", output, "utf-8", this.progress) == 1
    assert json.loads(output.read_text())["label"] == "lying"


def test_moving_the_images_afterwards_changes_nothing(tmp_path: Path) -> None:
    source = pictures(tmp_path / "bars", count=30)
    first = done(tmp_path, source, "label", ["pixel-linear"], Override("tests", "few rows"))
    for path in source.rglob("*.png"):
        path.unlink()
    rows = first.data.rows("test")
    assert all(isinstance(row["image"], bytes) for row in rows), "the snapshot holds what was in them"
    assert len(opened(first.folder / "package", signer()).predictor.predict(rows[:4])) == 4


def test_an_image_that_a_table_names_and_that_changes_is_learnt_from_anew(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "bars", count=15)
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.png"))]
    (folder / "table.csv").write_text("picture,kind\n" + "".join(f"{name},{name.split('/')[0]}\n" for name in names))
    config = read_config(None, (), {"data": {"source": str(folder / "table.csv"), "target": "kind"}, "tiers": ["pixel-linear"]})
    first, same = (run(config, tmp_path / "run", signer(), until="prepare").made["prepare"] for _ in range(2))
    assert same.reused
    Image.new("RGB", (24, 24), (1, 2, 3)).save(folder / names[0])
    again = run(config, tmp_path / "run", signer(), until="prepare").made["prepare"]
    assert not again.reused
    assert again.model != first.model


def test_images_of_one_patient_stay_in_one_split(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "scans", count=40)
    lines = ["file_name,finding,patient"]
    for i, path in enumerate(sorted(folder.rglob("*.png"))):
        lines.append(f"{path.relative_to(folder)},{path.parent.name},p{i % 20}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    this = run(
        read_config(None, (), {"data": {"source": str(folder), "target": "finding", "group": "patient"}, "tiers": ["pixel-linear"]}),
        tmp_path / "run",
        signer(),
        until="prepare",
    )
    patients = {split: {row["patient"] for row in this.data.rows(split)} for split in ("train", "validation", "test")}
    assert all(patients.values())
    assert not patients["train"] & patients["test"]
    assert not patients["train"] & patients["validation"]


@pytest.mark.changes("release")
def test_a_calibration_demanded_by_the_gate_closes_it(tmp_path: Path) -> None:
    with pytest.raises(GateClosed, match="calibration_error"):
        done(tmp_path, loans(tmp_path / "l.csv", 300), "outcome", ["tabular-linear"], release={"calibration_error": {"at_most": 0.0001}})


def test_a_tier_of_another_kind_of_data_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="it reads text, and the task reads table"):
        done(tmp_path, loans(tmp_path / "l.csv", 100), "outcome", ["linear"])
    assert not (tmp_path / "run" / "train").exists()


def test_the_estimator_learns_from_frames_and_arrays_of_numbers(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.read_csv(loans(tmp_path / "l.csv", 400))
    model = Penjing(target="outcome", tiers=["tabular-linear"]).fit(frame)
    assert model.score(frame) > 0.75
    X = np.random.default_rng(0).normal(size=(300, 3))
    numbers = Penjing(task="tabular-regression", tiers=["tabular-linear"]).fit(X, X[:, 0] * 3 - X[:, 1])
    assert np.corrcoef(numbers.predict(X), X[:, 0] * 3 - X[:, 1])[0, 1] > 0.97


def test_the_model_learns_more_from_what_weighs_more(tmp_path: Path) -> None:
    source = loans(tmp_path / "l.csv", 500)
    shares = []
    for i, weights in enumerate(({"default": 5.0}, {"repaid": 5.0})):
        (tmp_path / str(i)).mkdir()
        data = {"class_weights": weights, "validation": 0.0}
        this = run(
            read_config(None, (), {"data": {"source": str(source), "target": "outcome", **data}, "tiers": ["tabular-linear"]}),
            tmp_path / str(i) / "run",
            signer(),
            until="train",
        )
        predictor = opened(this.folder, signer()).predictor
        answers = predictor.predict(this.data.rows("test")[:])
        shares.append(sum(a["scores"]["default"] for a in answers) / len(answers))
    assert shares[0] > shares[1] + 0.1
