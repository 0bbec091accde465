"""The report of real tiers: what each line measures, and what is said of test rows that are unlike the others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core.cascade import Cascade, Predictors
from penjing.core.errors import BadRequest, DataError, RunFailed
from penjing.core.files import read_json, write_json
from penjing.core.protocols import Silent
from penjing.core.tier import Tier
from penjing.pipeline.config import read_config
from penjing.pipeline.run import Run, run
from penjing.pipeline.start import signer
from penjing.stages.evaluate.evaluate import checked, evaluate, measure
from penjing.stages.evaluate.prices import PriceConfig

CHEAP = {"learner": "linear", "name": "cheap", "word_ngrams": 1, "char_ngrams": None, "buckets": 1024}
DEAR = {"learner": "linear", "name": "dear", "word_ngrams": 2, "char_ngrams": [2, 5], "learning_rate": 0.3}


def written(path: Path, count: int, seed: int, yes: float = 0.5) -> Path:
    """Most rows are answered by one word; in three of ten the answer lies in a pair of words."""
    random = np.random.default_rng(seed)
    lines = []
    for i in range(count):
        answer = int(random.random() > yes)
        colour = random.integers(0, 2)
        said = ("sure", "never")[answer] if random.random() < 0.7 else f"{('red', 'blue')[colour]} {('cat', 'fox')[colour ^ answer]}"
        lines.append(f"{said} {random.integers(0, 40)} {seed}n{i},{('yes', 'no')[answer]}")
    path.write_text("text,answer\n" + "\n".join(lines) + "\n")
    return path


def calibrated(folder: Path, **data: Any) -> Run:
    config = {
        "data": {"source": str(written(folder / "rows.csv", 1000, 4)), "target": "answer", "calibration": 0.3, **data},
        "tiers": [CHEAP, DEAR],
        "cascade": {"keep": "agreement", "agreement": 0.95},
    }
    return run(read_config(None, (), config), folder / "run", signer(), until="calibrate")


def evaluated(done: Run, to: Path, serves: str | None = None, calibration: Path | None = None) -> dict[str, Any]:
    learnt, exported = ({name: made.folder for name, made in done.of(stage).items()} for stage in ("train", "export"))
    to.mkdir()
    evaluate(PriceConfig(), serves, done.data, learnt, exported, calibration or done.made["calibrate"].folder, to, Silent())
    found: dict[str, Any] = read_json(to / "measured" / "report.json")
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return calibrated(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def told(done: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return evaluated(done, tmp_path_factory.mktemp("told") / "evaluate")


def test_every_tier_and_the_cascade_have_a_line_with_what_it_is_made_of(told: dict[str, Any]) -> None:
    assert [(entry["tier"], entry["kind"], entry["of"]) for entry in told["leaderboard"]] == [
        ("cheap", "tier", ["cheap"]),
        ("dear", "tier", ["dear"]),
        ("cascade", "cascade", ["cheap", "dear"]),
    ]
    assert told["serves"] == "cascade"


def figure(told: dict[str, Any], tier: str, name: str) -> float:
    entry = next(entry for entry in told["leaderboard"] if entry["tier"] == tier)
    return float(next(m["value"] for m in entry["measurements"] if m["name"] == name))


def test_the_size_and_the_learning_of_a_cascade_are_the_sums_of_its_tiers(told: dict[str, Any]) -> None:
    assert figure(told, "cascade", "size_bytes") == figure(told, "cheap", "size_bytes") + figure(told, "dear", "size_bytes")
    cheap, dear, cascade = told["leaderboard"]
    assert cascade["seconds_to_learn"] == pytest.approx(cheap["seconds_to_learn"] + dear["seconds_to_learn"], abs=2e-3)
    assert cascade["energy_to_learn"]["joules"] == pytest.approx(cheap["energy_to_learn"]["joules"] + dear["energy_to_learn"]["joules"])


def test_the_accuracy_of_a_line_is_what_running_it_gives(told: dict[str, Any], done: Run) -> None:
    predictors = Predictors.read(done.made["calibrate"].folder / "cascade.json")
    rows, exported = done.data.rows("test"), {name: made.folder for name, made in done.of("export").items()}
    for name in ("cheap", "dear", "cascade"):
        right = np.mean([p["label"] == row["answer"] for p, row in zip(predictors.open(exported, name).predict(rows), rows, strict=True)])
        assert figure(told, name, "accuracy") == right


def test_tiers_are_compared_before_and_after_calibration_and_on_one_curve(told: dict[str, Any]) -> None:
    assert set(told["reliability"]) == {"cheap", "dear"}
    assert told["cascade"]["curve"]
    assert len(told["cascade"]["offers"]) == 6


def test_fair_test_rows_bring_no_warning(told: dict[str, Any]) -> None:
    assert told["warnings"] == []
    assert told["leaks"][0]["value"] == 0


def test_test_rows_with_other_labels_are_warned_of(tmp_path: Path) -> None:
    other = written(tmp_path / "test.csv", 300, 1, yes=0.95)
    found = evaluated(calibrated(tmp_path, test=str(other)), tmp_path / "evaluate")
    assert any("Unlike rows: the test rows are answered with other classes than the calibration rows" in said for said in found["warnings"])


def test_what_is_to_answer_is_what_the_report_is_about(done: Run, tmp_path: Path) -> None:
    assert evaluated(done, tmp_path / "evaluate", serves="cheap")["serves"] == "cheap"
    with pytest.raises(BadRequest, match="'chaep'.*Did you mean 'cheap'"):
        evaluated(done, tmp_path / "other", serves="chaep")


def test_test_rows_are_needed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no test rows to measure on. Set data.test"):
        evaluated(calibrated(tmp_path, test=0.0), tmp_path / "evaluate")


def test_a_cascade_that_answers_otherwise_than_its_tiers_is_a_fault(done: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Cascade.outputs

    def swapped(self: Cascade, rows: Any) -> Any:
        outputs = honest(self, rows)
        return {name: -np.asarray(array) if self.name == "cascade" else array for name, array in outputs.items()}

    monkeypatch.setattr(Cascade, "outputs", swapped)
    with pytest.raises(RunFailed, match="The cascade answers 0% of 64 rows as its tiers' answers say"):
        evaluated(done, tmp_path / "evaluate")


def test_notices_of_the_calibration_are_passed_on(done: Run, tmp_path: Path) -> None:
    shutil.copytree(done.made["calibrate"].folder, tmp_path / "calibrate")
    found = read_json(tmp_path / "calibrate" / "calibration.json")
    write_json(tmp_path / "calibrate" / "calibration.json", found | {"notices": ["Look at this."]})
    assert evaluated(done, tmp_path / "evaluate", calibration=tmp_path / "calibrate")["warnings"] == ["Look at this."]


def test_a_predictor_is_measured_on_rows_of_the_users_own(done: Run, tmp_path: Path) -> None:
    exported = {name: made.folder for name, made in done.of("export").items()}
    cascade = Predictors.read(done.made["calibrate"].folder / "cascade.json").open(exported)
    names = [m["name"] for m in measure(cascade, done.data.rows("test"), exported["dear"], Silent())]
    assert names[0] == "accuracy"
    assert {"predictions_per_second", "size_bytes"} <= set(names)
    with pytest.raises(DataError, match="no rows to measure on"):
        measure(cascade, [], exported["dear"], Silent())


def test_a_file_sorted_by_its_answers_is_not_timed_by_its_first_rows(tmp_path: Path) -> None:
    tier = a_tier(tmp_path)
    asked: list[str] = []

    class Watched:
        name, task = tier.name, tier.task

        def outputs(self, rows: Any) -> Any:
            return tier.outputs(rows)

        def predict(self, rows: Any) -> Any:
            asked.extend(row["text"] for row in rows)
            return tier.predict(rows)

        def warm(self) -> None:
            tier.warm()

    rows = [{"text": ("sure" if i < 500 else "never") + f" {i}", "answer": "yes" if i < 500 else "no"} for i in range(1000)]
    checked(Watched(), rows, tmp_path)
    first = {text.split()[0] for text in asked[:64]}
    assert first == {"sure", "never"}


def a_tier(tmp_path: Path) -> Tier:
    from penjing.plugins.processors.ngrams import Ngrams
    from penjing.plugins.tasks.text_classification import TextClassification

    class Even:
        def run(self, batch: Any) -> Any:
            return {"logits": np.zeros((len(batch["features"]), 2), np.float32)}

        def work(self, batch: Any) -> float:
            return 1.0

    return Tier("even", TextClassification("answer", ["text"], ["no", "yes"]), Ngrams(["text"]), Even())  # type: ignore[arg-type]
