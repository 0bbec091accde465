"""A teacher that knows what few rows cannot show, and a pupil that learns from it on rows without answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core.allowance import Allowance
from penjing.core.artefacts import Artefact, make
from penjing.core.errors import PlanError
from penjing.core.examples import Examples
from penjing.core.files import read_json
from penjing.core.learning.tiers import TierConfig
from penjing.core.protocols import Silent
from penjing.core.snapshot import Snapshot
from penjing.core.statistics import probabilities
from penjing.core.tier import Tier
from penjing.core.types import Batch, NDArray, Row, Spec
from penjing.pipeline.config import read_config
from penjing.pipeline.run import Run, run
from penjing.pipeline.start import signer
from penjing.stages.export import export
from penjing.stages.plan import plan
from penjing.stages.prepare.config import DataConfig
from penjing.stages.prepare.prepare import prepare
from penjing.stages.train import TRUE, Conduct, as_shares, taught, train

WORDS = 60
"""Words of which each alone says the answer: too many to be learnt from the rows that have answers."""
PUPIL = {"learner": "linear", "name": "pupil", "char_ngrams": None, "word_ngrams": 1}


def says(word: int) -> str:
    return ("yes", "no")[word % 2]


def rows(count: int, seed: int, words: int = WORDS) -> list[tuple[str, str]]:
    """Texts whose answer lies in one word. The first ones draw from a few of the words only."""
    random = np.random.default_rng(seed)
    return [(f"word{word} and {random.integers(10**6)} more", says(word)) for word in random.integers(0, words, count)]


def snapshot(folder: Path, unlabelled: int) -> Snapshot:
    labelled = rows(100, 0, words=6)
    (folder / "rows.csv").write_text("text,answer\n" + "".join(f"{text},{answer}\n" for text, answer in labelled))
    (folder / "bare.csv").write_text("text\n" + "".join(f"{text}\n" for text, _ in rows(unlabelled, 1)))
    config = DataConfig(source=str(folder / "rows.csv"), target="answer", unlabelled=str(folder / "bare.csv") if unlabelled else None)
    (folder / "data").mkdir()
    prepare(config, None, 0, folder / "data", Silent())
    return Snapshot.open(folder / "data")


class Teacher:
    """A predictor that knows every word."""

    name = "teacher"

    def __init__(self, data: Snapshot) -> None:
        self.task, self.asked = data.task, 0

    def outputs(self, asked: Any) -> Batch:
        self.asked += len(asked)
        labels = list(self.task.labels)  # type: ignore[attr-defined]
        right = [labels.index(says(int(row["text"].split()[0].removeprefix("word")))) for row in asked]
        return {"logits": (4.0 * np.eye(2)[right]).astype(np.float32).reshape(-1, 2)}


def learnt(folder: Path, data: Snapshot, teacher: Any, **options: Any) -> Tier:
    made: Artefact = make(
        folder / "train",
        "train/pupil",
        {},
        {},
        lambda place: train(TierConfig.parse(PUPIL | options), data, teacher, Conduct(0, folder / "cache", Silent()), Allowance(), place),
    )
    (folder / "export" / "measured").mkdir(parents=True)
    export(made.folder, data, folder / "export", Silent())
    return Tier.open(folder / "export")


def right(tier: Tier) -> float:
    asked = rows(400, 2)
    given: list[Row] = [{"text": text} for text, _ in asked]
    return float(np.mean([p["label"] == answer for p, (_, answer) in zip(tier.predict(given), asked, strict=True)]))


def test_a_taught_tier_learns_what_only_unlabelled_rows_show(tmp_path: Path) -> None:
    data = snapshot(tmp_path, unlabelled=600)
    (tmp_path / "alone").mkdir()
    (tmp_path / "taught").mkdir()
    teacher = Teacher(data)
    alone, pupil = learnt(tmp_path / "alone", data, None), learnt(tmp_path / "taught", data, teacher)
    assert teacher.asked == data.counts["train"] + data.counts["unlabelled"] > 600
    assert right(alone) < 0.75
    assert right(pupil) > 0.95


def test_without_unlabelled_rows_a_pupil_learns_from_the_training_rows(tmp_path: Path) -> None:
    data = snapshot(tmp_path, unlabelled=0)
    assert 0.5 < right(learnt(tmp_path, data, Teacher(data))) < 0.8


def test_a_finished_tier_leaves_no_checkpoints_and_says_what_it_took(tmp_path: Path) -> None:
    data = snapshot(tmp_path, unlabelled=30)
    learnt(tmp_path, data, Teacher(data))
    assert not list((tmp_path / "train").rglob("taught*"))
    assert not (tmp_path / "train" / "checkpoints").exists()
    training = read_json(tmp_path / "train" / "measured" / "training.json")
    assert training["seconds"] > 0
    assert training["energy"]["joules"] > 0


def test_a_pupils_target_is_half_the_truth_on_rows_that_have_one_and_the_teachers_answer_on_the_others(tmp_path: Path) -> None:
    data = snapshot(tmp_path, unlabelled=20)
    known, bare = (
        Examples({"x": np.arange(data.counts[s])}, target) for s, target in (("train", _true(data)), ("unlabelled", np.zeros(20, np.int64)))
    )
    teacher = Teacher(data)
    found = taught(teacher, data, known, bare, tmp_path, Silent())
    answers = [probabilities(np.asarray(teacher.outputs(data.rows(s))["logits"], np.float64), "softmax") for s in ("train", "unlabelled")]  # type: ignore[arg-type]
    assert np.allclose(found.target[: len(known)], TRUE * np.eye(2)[known.target] + (1 - TRUE) * answers[0], atol=1e-6)
    assert np.allclose(found.target[len(known) :], answers[1], atol=1e-6)
    assert np.allclose(found.target.sum(axis=1), 1, atol=1e-6)
    assert np.asarray(found.inputs["x"]).tolist() == [*range(len(known)), *range(20)]


def _true(data: Snapshot) -> NDArray:
    return data.task.target_of(data.rows("train"))


def test_classes_become_shares_and_numbers_stay_numbers() -> None:
    class Task:
        def __init__(self, spec: Spec) -> None:
            self.outputs = {"logits": spec}

    classes, numbers = Examples({}, np.array([2, 0])), Examples({}, np.array([[0.5], [1.5]], np.float32))
    assert as_shares(Task(Spec(3, "softmax")), classes).target.tolist() == [[0, 0, 1], [1, 0, 0]]  # type: ignore[arg-type]
    assert as_shares(Task(Spec(1, "identity")), numbers) is numbers  # type: ignore[arg-type]


# Through the pipeline


def ran(tmp_path: Path, tiers: list[Any], until: Any = "train") -> Run:
    if not (tmp_path / "rows.csv").exists():
        snapshot(tmp_path, unlabelled=200)
    data = {"source": str(tmp_path / "rows.csv"), "target": "answer", "unlabelled": str(tmp_path / "bare.csv")}
    return run(read_config(None, (), {"data": data, "tiers": tiers}), tmp_path / "run", signer(), until=until)


def test_a_pupil_is_learnt_after_its_teacher_and_knows_it_by_its_digest(tmp_path: Path) -> None:
    done = ran(tmp_path, [PUPIL | {"teacher": "linear"}, "linear"])
    assert [name for name in done.made if name.startswith("train/")] == ["train/linear", "train/pupil"]
    assert read_json(done.made["train/pupil"].folder / "artefact.json")["inputs"] == {
        "data": done.made["prepare"].model,
        "export/linear": done.made["export/linear"].model,
    }


def test_another_teacher_makes_another_pupil_and_the_same_one_the_same(tmp_path: Path) -> None:
    other = {"learner": "linear", "name": "other", "epochs": 1, "char_ngrams": None}
    first = ran(tmp_path, ["linear", other, PUPIL | {"teacher": "linear"}]).made["train/pupil"]
    again = ran(tmp_path, ["linear", other, PUPIL | {"teacher": "linear"}]).made["train/pupil"]
    second = ran(tmp_path, ["linear", other, PUPIL | {"teacher": "other"}]).made["train/pupil"]
    assert again.reused
    assert not second.reused
    assert second.model != first.model


def test_the_reference_teaches_and_is_made_of_tiers_without_a_teacher(tmp_path: Path) -> None:
    other = {"learner": "linear", "name": "other", "epochs": 1, "char_ngrams": None}
    done = ran(tmp_path, ["linear", other, PUPIL | {"teacher": "reference"}])
    assert set(read_json(done.made["train/pupil"].folder / "artefact.json")["inputs"]) == {"data", "export/linear", "export/other"}


@pytest.mark.parametrize(
    ("tiers", "message"),
    [
        (["linear", PUPIL | {"teacher": "lniear"}], "'pupil' has the teacher 'lniear', which is no tier without a teacher.*Did you mean 'linear'"),
        (["linear", PUPIL | {"teacher": "pupil"}], "'pupil' has the teacher 'pupil', which is no tier without a teacher"),
        ([PUPIL | {"teacher": "reference"}], "no tier is there to teach"),
    ],
)
def test_a_teacher_that_is_not_there_is_refused_before_anything_is_learnt(tmp_path: Path, tiers: list[Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        ran(tmp_path, tiers)
    assert not (tmp_path / "run" / "train").exists()


def test_the_unlabelled_rows_count_in_what_a_pupil_will_cost(tmp_path: Path) -> None:
    data = snapshot(tmp_path, unlabelled=600)
    tiers = [TierConfig.parse(PUPIL | {"name": "alone"}), TierConfig.parse(PUPIL | {"teacher": "alone"})]
    estimates = plan(tiers, True, data, tmp_path).estimates
    assert estimates["pupil"].disk_bytes > 3 * estimates["alone"].disk_bytes
