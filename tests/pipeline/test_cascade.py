"""The cascade through the whole pipeline: a cheap tier that knows single words, and a dear one that knows pairs of them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from penjing.core.blend import plain
from penjing.core.cascade import Cascade, Predictors
from penjing.core.errors import BadRequest, ConfigError, GateClosed, Interrupted, PlanError
from penjing.core.files import files_of, read_json, sha256
from penjing.core.protocols import Silent
from penjing.core.tier import Tier
from penjing.core.types import Row
from penjing.package.manifest import CASCADE, MANIFEST, Manifest
from penjing.package.open import open_package
from penjing.pipeline.config import read_config
from penjing.pipeline.estimator import Penjing
from penjing.pipeline.opened import opened
from penjing.pipeline.probe import Probe
from penjing.pipeline.run import Run, run
from penjing.pipeline.start import signer
from penjing.security.keys import make_key
from penjing.stages.gate import Override
from penjing.stages.predict import predict
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.run import serving
from penjing.stages.serve.service import Served

CHEAP = {"learner": "linear", "name": "cheap", "word_ngrams": 1, "char_ngrams": None, "buckets": 1024}
DEAR = {"learner": "linear", "name": "dear", "word_ngrams": 2, "char_ngrams": [2, 5], "learning_rate": 0.3}
AGREE = {"keep": "agreement", "agreement": 0.95}


def mixed(count: int, seed: int = 0) -> list[Row]:
    """Seven rows of ten are answered by one word; of the others the answer lies in a pair: red fox and blue cat are "no"."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        answer = int(random.random() < 0.5)
        said = ("sure", "never")[answer]
        if random.random() > 0.7:
            colour, animal = random.integers(0, 2, 2)
            said, answer = f"{('red', 'blue')[colour]} {('fox', 'cat')[animal]}", int(colour == animal)
        filler = " ".join(f"w{k}" for k in random.integers(0, 40, 4))
        rows.append({"text": f"{said} {filler} n{i}", "answer": ("yes", "no")[answer]})
    return rows


def written(rows: list[Row], path: Path) -> Path:
    lines = [rows[0].keys(), *(row.values() for row in rows)]
    path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(mixed(1200), tmp_path_factory.mktemp("data") / "mixed.csv")


class Told(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.fixture(autouse=True)
def key(home: Path) -> None:
    make_key(home)


def ran(source: Path, folder: Path, until: Any = "pack", override: Override | None = None, progress: Any = None, **config: Any) -> Run:
    data = {"source": str(source), "target": "answer", "calibration": 0.3} | config.pop("data", {})
    base = {"data": data, "tiers": [CHEAP, DEAR], "cascade": AGREE} | config
    return run(read_config(None, (), base), folder, signer(), progress, until, override)


@pytest.fixture(scope="module")
def measured(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is finished but for the package, which each test signs with its own key."""
    return ran(source, tmp_path_factory.mktemp("runs") / "mixed", "evaluate").folder


Again = Callable[..., Run]


@pytest.fixture
def again(source: Path, measured: Path, tmp_path: Path) -> Again:
    """Go on with a copy of that run."""
    shutil.copytree(measured, tmp_path / "mixed")
    return lambda **config: ran(source, tmp_path / "mixed", **config)


def test_a_cascade_that_pays_serves_and_is_what_the_package_answers_with(again: Again) -> None:
    done = again()
    assert done.report["serves"] == "cascade"
    assert done.report["cascade"]["why"].startswith("Cascade: ")
    assert done.packed is not None
    predictor = done.packed.package.predictor()
    assert predictor.name == "cascade"
    rows = done.data.rows("test")
    assert Counter(p["tier"] for p in predictor.predict(rows)).keys() == {"cheap", "dear"}
    board = {entry["tier"]: entry for entry in done.report["leaderboard"]}
    assert list(board) == ["cheap", "dear", "cascade"]
    right = np.mean([p["label"] == row["answer"] for p, row in zip(predictor.predict(rows), rows, strict=True)])
    assert board["cascade"]["measurements"][0]["value"] == right
    assert right > board["cheap"]["measurements"][0]["value"]


def test_parity_from_exported_to_packaged_is_measured_on_the_cascade(again: Again) -> None:
    done = again()
    assert done.packed is not None
    assert done.packed.parity[0].value == 1.0
    assert done.packed.parity[1].value == 0.0
    before = Predictors.read(done.folder / "calibrate" / CASCADE).open({name: made.folder for name, made in done.of("export").items()})
    rows = done.data.rows("test")
    assert before.predict(rows) == done.packed.package.predictor().predict(rows)


def test_predicting_and_serving_say_which_tiers_answered(again: Again, source: Path, tmp_path: Path) -> None:
    folder = again().folder / "package"
    found = opened(folder, signer())
    texts = [f"{said} w1 w2" for said in ("sure", "never", "red fox", "blue fox", "red cat")]
    written([{"text": text} for text in texts], tmp_path / "ask.csv")
    assert predict(found.predictor, tmp_path / "ask.csv", tmp_path / "told.jsonl", "utf-8", Silent()) == len(texts)
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    served = Served(found.name, found.model, found.signed_by, found.created)
    with serving(found.predictor, served, ServeConfig(port=0)) as url:
        answers = httpx.post(f"{url}/v1/predict", json={"rows": [{"text": text} for text in texts]}, timeout=60).json()["predictions"]
    assert [answer["tier"] for answer in answers] == [line["tier"] for line in told]
    assert {answer["tier"] for answer in answers} == {"cheap", "dear"}
    assert [answer["label"] for answer in answers] == [line["label"] for line in told]


def test_a_run_without_a_package_is_opened_at_its_cascade(again: Again) -> None:
    done = again(until="calibrate")
    found = opened(done.folder, signer())
    assert (found.predictor.name, found.signed_by) == ("cascade", None)
    assert opened(done.folder, signer(), "cheap").predictor.name == "cheap"


def test_the_estimator_answers_with_the_cascade() -> None:
    rows = mixed(1200)
    model = Penjing("answer", tiers=[CHEAP, DEAR], seed=0, validation=0.2).fit(rows)
    tiers = {p["tier"] for p in model.predictor_.predict(rows)}
    assert set(model.predictor_.tiers) <= {"cheap", "dear"}
    assert tiers <= {"cheap", "dear", "cheap+dear"}
    assert model.score(mixed(200, seed=1)) > 0.9
    assert [entry["tier"] for entry in model.leaderboard_] == ["cheap", "dear"]


def test_the_model_digest_of_a_cascade_is_the_same_for_the_same_data_and_seed(again: Again, source: Path, tmp_path: Path) -> None:
    first, second = again(until="calibrate"), ran(source, tmp_path / "other", "calibrate")
    assert {name: made.model for name, made in first.made.items()} == {name: made.model for name, made in second.made.items()}
    other = again(until="calibrate", cascade={**AGREE, "agreement": 0.9})
    assert other.made["calibrate"].model != second.made["calibrate"].model


def test_a_run_killed_while_calibrating_learns_nothing_again(source: Path, tmp_path: Path) -> None:
    class Killed(Silent):
        def start(self, what: str, total: float) -> None:
            if "calibration rows" in what:
                raise Interrupted("killed")

    with pytest.raises(Interrupted):
        ran(source, tmp_path / "run", progress=Killed())
    assert not (tmp_path / "run" / "calibrate").exists()
    done = ran(source, tmp_path / "run", "calibrate")
    assert {name: made.reused for name, made in done.made.items()} == {
        "prepare": True,
        **dict.fromkeys(["train/cheap", "export/cheap", "train/dear", "export/dear"], True),
        "calibrate": False,
    }


def test_nothing_of_a_finished_cascade_is_done_twice(again: Again) -> None:
    again()
    done = again()
    assert done.packed is not None
    assert done.packed.reused
    assert all(made.reused for made in done.made.values())


def test_too_few_calibration_rows_leave_the_reference_alone_and_say_how_many_are_needed(again: Again) -> None:
    done = again(until="calibrate", cascade={"keep": "agreement", "agreement": 0.995})
    found = read_json(done.folder / "calibrate" / "calibration.json")
    assert found["rows"] == 288
    assert found["rows_needed"] == 598
    assert "288 calibration rows, and at least 598 are needed" in found["why"]
    assert "Add rows, raise data.calibration, or ask for less under cascade." in found["why"]
    assert read_json(done.folder / "calibrate" / CASCADE)["serves"] == "dear"
    assert len(found["cascade"]["steps"]) == 1


def calibration(done: Run) -> dict[str, Any]:
    found: dict[str, Any] = read_json(done.folder / "calibrate" / "calibration.json")
    return found


@pytest.mark.changes("cascade.keep")
@pytest.mark.changes("cascade.agreement")
def test_a_looser_agreement_lets_more_rows_through_and_accuracy_is_another_promise(again: Again) -> None:
    strict, loose, accuracy = (
        calibration(again(until="calibrate", cascade=cascade))
        for cascade in (AGREE, {"keep": "agreement", "agreement": 0.85}, {"keep": "accuracy", "margin": 0.05})
    )
    assert strict["share"] < loose["share"]
    assert "the reference's answer on at least 85.0% of rows" in loose["why"]
    assert (accuracy["keep"], accuracy["limit"]) == ("accuracy", 0.05)
    assert "fewer right answers than the reference" in accuracy["why"]


@pytest.mark.changes("cascade.margin")
@pytest.mark.changes("cascade.confidence")
def test_a_wider_margin_and_less_confidence_ask_for_fewer_rows_and_prove_more(again: Again) -> None:
    narrow, wide, unsure = (
        calibration(again(until="calibrate", cascade={"keep": "accuracy", **cascade}))
        for cascade in ({"margin": 0.01}, {"margin": 0.1}, {"margin": 0.01, "confidence": 0.6})
    )
    assert narrow["rows_needed"] > 288 > wide["rows_needed"]
    assert narrow["rows_needed"] > unsure["rows_needed"]
    assert (narrow["share"], narrow["certified"]) == (0, 0)
    assert wide["share"] > 0.6


@pytest.mark.changes("cascade.thresholds")
def test_each_class_may_have_a_threshold_of_its_own(again: Again) -> None:
    one, each = (calibration(again(until="calibrate", cascade={**AGREE, "thresholds": thresholds})) for thresholds in ("global", "per-class"))
    assert [len(step["thresholds"]) for step in one["cascade"]["steps"]] == [1, 0]
    assert [len(step["thresholds"]) for step in each["cascade"]["steps"]] == [2, 0]
    first, second = each["cascade"]["steps"][0]["thresholds"]
    assert first != second


def test_thresholds_for_classes_that_are_not_there_are_refused_before_anything_is_learnt(tmp_path: Path) -> None:
    path = written([{"text": f"{'day ' * (i % 7)}number {i}", "answer": i % 7 + 0.5} for i in range(140)], tmp_path / "numbers.csv")
    with pytest.raises(ConfigError, match=r"cascade.thresholds is per-class, and this task has no classes.*global"):
        ran(path, tmp_path / "run", cascade={"thresholds": "per-class"})
    assert not (tmp_path / "run" / "train").exists()


def test_tiers_of_numbers_are_blended_and_none_answers_cheaply(tmp_path: Path) -> None:
    path = written([{"text": f"{'day ' * (i % 7 + 1)}number {i}", "answer": i % 7 + 0.5} for i in range(400)], tmp_path / "numbers.csv")
    done = ran(path, tmp_path / "run", "calibrate", cascade={"keep": "accuracy"})
    assert "so no row is handed to a cheaper tier" in calibration(done)["why"]
    assert len(calibration(done)["cascade"]["steps"]) == 1


def test_several_labels_a_row_make_a_cascade_too(tmp_path: Path) -> None:
    rows = [
        {"text": f"{row['text']} {'sun' if i % 3 else 'rain'}", "answer": f"{row['answer']}|{'dry' if i % 3 else 'wet'}"}
        for i, row in enumerate(mixed(900))
    ]
    done = ran(written(rows, tmp_path / "labels.csv"), tmp_path / "run", "calibrate", task="multi-label-text-classification")
    assert done.data.task.outputs["logits"].link == "sigmoid"
    assert calibration(done)["share"] > 0.5
    predictor = opened(done.folder, signer()).predictor
    assert {p["tier"] for p in predictor.predict(done.data.rows("test"))} >= {"cheap"}


@pytest.mark.changes("release")
def test_a_limit_that_does_not_hold_closes_the_gate_and_an_override_is_signed_into_the_report(again: Again) -> None:
    limit = {"accuracy": {"at_least": 0.999}, "agreement_with_reference": {"at_least": 0.9}}
    with pytest.raises(GateClosed, match=r"accuracy is 0\.9\d+ .* below the limit of at least 0\.999") as closed:
        again(release=limit)
    assert closed.value.exit_code == 3
    assert closed.value.report is not None
    done = again(release=limit, override=Override("Mei", "the pilot needs it today"))
    assert done.packed is not None
    signed = read_json(open_package(done.folder / "package", signer()).folder / "report.json")
    assert signed["override"] == {"by": "Mei", "reason": "the pilot needs it today"}
    assert {gate["name"]: gate["holds"] for gate in signed["gates"]}.items() >= {"accuracy": False, "agreement_with_reference": True}.items()
    assert again(release={}).report["override"] is None


def test_a_closed_gate_leaves_no_package(again: Again) -> None:
    with pytest.raises(GateClosed):
        again(release={"accuracy": {"at_least": 1.0}})
    assert not list((again(until="evaluate").folder).glob("*package*"))


def test_a_limit_on_something_that_nothing_measures_is_refused_before_anything_is_learnt(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"release.acuracy: nothing measures 'acuracy'. Did you mean 'accuracy'"):
        ran(source, tmp_path / "run", release={"acuracy": {"at_least": 0.5}})
    assert not (tmp_path / "run" / "train").exists()


@pytest.mark.changes("pack.include")
def test_the_package_holds_what_answers_needs_or_all_that_was_learnt(again: Again) -> None:
    needed = again(pack={"tier": "cheap", "include": "needed"}).packed
    assert needed is not None
    assert [tier.name for tier in needed.package.manifest.tiers] == ["cheap"]
    with pytest.raises(BadRequest, match="no cascade here"):
        needed.package.predictor("cascade")
    every = again(pack={"tier": "cheap", "include": "all"}).packed
    assert every is not None
    assert [tier.name for tier in every.package.manifest.tiers] == ["cheap", "dear"]
    assert every.package.predictor().name == "cheap"
    assert every.package.predictor("cascade").name == "cascade"


def test_a_package_whose_cascade_names_a_tier_that_is_not_there_is_refused_though_it_is_signed(again: Again) -> None:
    folder = again().folder / "package"
    cascade = read_json(folder / CASCADE)
    cascade["predictors"]["cascade"]["tiers"].append("dearest")
    (folder / CASCADE).write_text(json.dumps(cascade))
    (folder / "model.sig").unlink()
    signer().sign(folder)
    package = open_package(folder, signer())
    with pytest.raises(BadRequest, match=r"needs the tier 'dearest', which is not there \(found: cheap, dear\)"):
        package.predictor()
    assert package.predictor("cheap").predict([{"text": "sure"}])[0]["label"] == "yes"


def damage(path: Path) -> None:
    """Change a byte, and not the size."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("what", ["engine/linear.safetensors", "measured/said-of-validation-dear.npy"])
def test_a_file_of_a_finished_export_that_changed_at_the_same_size_makes_the_stage_again(again: Again, what: str) -> None:
    done = again(until="calibrate")
    before = (done.folder / "export" / "dear" / what).read_bytes()
    damage(done.folder / "export" / "dear" / what)
    repaired = again(until="calibrate")
    assert not repaired.made["export/dear"].reused
    assert repaired.made["export/cheap"].reused
    assert (done.folder / "export" / "dear" / what).read_bytes() == before


def test_a_package_made_from_a_damaged_export_is_sealed_again(again: Again) -> None:
    done = again()
    assert done.packed is not None
    good, folder = done.packed.package.manifest, done.folder / "package"
    weights = folder / "tiers" / "dear" / "engine" / "linear.safetensors"
    damage(weights)
    (folder / "model.sig").unlink()
    digests = {path.relative_to(folder).as_posix(): sha256(path) for path in files_of(folder) if path.name != MANIFEST}
    Manifest(**{**{name: getattr(good, name) for name in good.__slots__}, "digests": digests}).write(folder)
    signer().sign(folder)
    assert open_package(folder, signer()).manifest.lineage == good.lineage
    mended = again().packed
    assert mended is not None
    assert not mended.reused
    assert mended.package.manifest.model == good.model
    assert open_package(folder, signer()).manifest.digests == good.digests


@pytest.fixture
def by_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tier is reckoned to take a second, and the first takes more than none of it."""
    monkeypatch.setattr(Probe, "tried", lambda *rest: None)


@pytest.mark.usefixtures("by_formula")
def test_a_budget_leaves_out_what_does_not_fit_and_says_so(again: Again, source: Path, tmp_path: Path) -> None:
    told = Told()
    done = again(until="train", budget={"time": "1s"}, progress=told)
    assert list(done.of("train")) == ["cheap"]
    assert any("Not learnt, tier 'dear'" in sentence and "budget.time" in sentence for sentence in told.said)
    with pytest.raises(PlanError, match=r"No tier fits the budget:\nTier 'cheap': it needs about .* of budget.time 0 s are left"):
        ran(source, tmp_path / "none", "train", budget={"time": "0s"})


@pytest.mark.usefixtures("by_formula")
def test_a_pupil_whose_teacher_does_not_fit_the_budget_is_left_out_with_it(again: Again) -> None:
    tiers = [CHEAP, DEAR, {**CHEAP, "name": "pupil", "teacher": "dear"}]
    told = Told()
    done = again(until="train", budget={"time": "1s"}, tiers=tiers, progress=told)
    assert list(done.of("train")) == ["cheap"]
    assert any("'pupil': its teacher 'dear' is not learnt" in sentence for sentence in told.said)


def test_early_exits_go_on_from_each_other_and_answer_as_they_do_alone(tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"text": f"{('works well', 'terrible pain')[i % 2]} n{i}", "answer": ("yes", "no")[i % 2]} for i in range(60)]
    path = written(rows, tmp_path / "rows.csv")
    tiers = [{"learner": "transformer", "name": "deep", "model": f"path:{tiny_model}", "tune": "full", "epochs": 1, "exits": [1]}]
    done = ran(path, tmp_path / "run", "train", tiers=tiers)
    members = Tier.open(done.made["export/deep"].folder).members()
    assert [member.name for member in members] == ["deep@exit-1", "deep"]
    said = {member.name: np.asarray(member.outputs(rows)["logits"]) for member in members}
    confidence = members[0].task.confidence({"logits": said["deep@exit-1"]})
    cascade = Cascade.read(_two_steps(["deep@exit-1", "deep"], float(np.median(confidence))), {member.name: member for member in members})
    ran_BW = np.asarray(cascade.outputs(rows)["logits"])
    follows_BW, step_B = cascade.from_said(said)
    assert set(step_B) == {0, 1}
    assert np.allclose(ran_BW, follows_BW, atol=1e-4)
    assert {p["tier"] for p in cascade.predict(rows)} == {"deep@exit-1", "deep"}


def _two_steps(names: list[str], threshold: float) -> dict[str, Any]:
    steps = [
        {"tiers": names[: i + 1], "blend": plain([name], 2, "softmax").described(), "thresholds": [threshold] * (1 - i)}
        for i, name in enumerate(names)
    ]
    return {"name": "cascade", "tiers": names, "steps": steps}
