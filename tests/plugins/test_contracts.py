"""Every plugin keeps its contract. A new file is picked up by its name: no edit is needed here."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.errors import DataError, PenjingError
from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, Silent, Subject
from penjing.core.tier import Tier, describe, packed, unpacked
from penjing.core.types import Batch, Estimate, Measurement, Row, size

ROOT = Path(__file__).parents[2]
TEXTS = ["a good day", "bad", "an excellent, long and sunny day", "poor", "", "好天气", "😀 fine", None]
TARGETS: list[list[Any]] = [["yes", "no"], [1.5, 2.25], [["a"], ["a", "b"]], ["short", "long"]]


def rows_for(task: Any, count: int = 24) -> list[Row]:
    """Return labelled rows whose targets suit the task best."""
    values = max(TARGETS, key=lambda v: (task.suits(v * 10)[0], task.suits(v * 10)[0] > 0))
    return [{"text": TEXTS[i % 8], "answer": values[i % 2] if not isinstance(values[0], float) else 0.1 * i} for i in range(count)]


def made(name: str) -> tuple[Any, list[Row]]:
    kind = plugins.load("tasks", name)
    rows = rows_for(kind)
    return kind(**kind.options_from(rows, "answer", ["text"])), rows


def some_outputs(task: Any, rows: list[Row]) -> Batch:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(len(rows), spec.width)).astype(np.float32) for name, spec in task.outputs.items()}


@pytest.mark.parametrize("name", plugins.names("tasks"))
def test_a_task_keeps_its_contract(name: str) -> None:
    task, rows = made(name)
    outputs = some_outputs(task, rows)
    assert dataclasses.is_dataclass(task)
    assert unpacked("tasks", json.loads(json.dumps(packed("tasks", task)))) == task
    predictions = task.decode(outputs, rows)
    assert len(predictions) == len(rows)
    json.dumps(predictions)
    confidence = task.confidence(outputs)
    assert confidence.shape == (len(rows),)
    assert ((confidence >= 0) & (confidence <= 1)).all()
    assert (task.agreement(outputs, outputs) == 1).all()
    target, (spec,) = task.target_of(rows), task.outputs.values()
    assert target.shape == ((len(rows),) if spec.link == "softmax" else (len(rows), spec.width))
    assert task.strata(rows).shape == (len(rows),)
    assert set(task.example) == {"text"}
    for measured in task.score(predictions, rows):
        assert isinstance(measured, Measurement)
        assert measured.n == len(rows)
        assert measured.low is not None
        assert measured.high is not None
        assert measured.low <= measured.value <= measured.high
        assert measured.method


@pytest.mark.parametrize("name", plugins.names("tasks"))
def test_a_perfect_answer_scores_best(name: str) -> None:
    task, rows = made(name)
    target, (spec,) = task.target_of(rows), task.outputs.values()
    logits = np.eye(spec.width)[target] * 20 if spec.link == "softmax" else (target * 40 - 20 if spec.link == "sigmoid" else target)
    best = task.score(task.decode({"logits": logits.astype(np.float32)}, rows), rows)[0]
    assert best.value == pytest.approx(1.0, abs=1e-6)
    assert task.credit({"logits": logits.astype(np.float32)}, rows) == pytest.approx(np.ones(len(rows)), abs=1e-6)
    assert task.credit(some_outputs(task, rows), rows).max() <= 1
    worse = task.score(task.decode(some_outputs(task, rows), rows), rows)[0]
    assert worse.value < best.value


@pytest.mark.parametrize("name", plugins.names("tasks"))
def test_a_task_refuses_a_target_that_it_cannot_know(name: str) -> None:
    task, _ = made(name)
    with pytest.raises(DataError):
        task.target_of([{"text": "x", "answer": "no such thing at all"}])


def given(model: Path) -> dict[str, Any]:
    """Return what learners of every processor would hand on."""
    options: dict[str, Any] = {}
    for learner in plugins.names("learners"):
        options |= plugins.options("learners", learner)().model_dump()
    return options | {"model": str(model)}


@pytest.mark.parametrize("name", plugins.names("processors"))
def test_a_processor_keeps_its_contract(name: str, tiny_model: Path) -> None:
    kind = plugins.load("processors", name)
    rows: list[Row] = [{"text": text} for text in TEXTS]
    processor = kind(**kind.options_from(rows, ["text"], given(tiny_model)))
    again = unpacked("processors", json.loads(json.dumps(packed("processors", processor))))
    whole = processor.encode(rows)
    assert size(whole) == len(rows)
    for i, row in enumerate(rows):
        for name_, alone in again.encode([row]).items():
            assert np.array_equal(alone[0], whole[name_][i]), f"{name_} of row {i} depends on the other rows"
    assert size(processor.encode([{}])) == 1, "a row without the column is read as empty"


@pytest.mark.parametrize("name", plugins.names("engines"))
def test_an_engine_says_plainly_that_a_folder_holds_nothing_for_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(PenjingError):
        plugins.load("engines", name).open(tmp_path)


@pytest.mark.parametrize("name", plugins.names("learners"))
def test_a_learner_learns_exports_and_answers_the_same_from_its_export(name: str, tiny_model: Path, tmp_path: Path) -> None:
    learner_of, section = plugins.load("learners", name), plugins.options("learners", name)
    options = section(**({"model": str(tiny_model)} if "model" in section.model_fields else {}))
    processor_of = plugins.load("processors", learner_of.processor)
    for task_name in plugins.names("tasks"):
        task, rows = made(task_name)
        processor = processor_of(**processor_of.options_from(rows, ["text"], options.resolved()))
        try:
            estimate = learner_of.plan(options, rows, ["text"], task.outputs, Machine.here(), len(rows))
        except PenjingError:
            continue  # a learner may refuse a task, before anything is spent
        assert isinstance(estimate, Estimate)
        place = tmp_path / task_name
        for folder in ("checkpoints", "cache", "learnt", "engine"):
            (place / folder).mkdir(parents=True)
        examples = Examples(processor.encode(rows), task.target_of(rows))
        learner = learner_of.create(options, task.outputs)
        learner.fit(examples, examples, Fitting(0, Silent(), place / "checkpoints", place / "cache"))
        learner.save(place / "learnt")
        describe(place, "x", task, processor, learner_of.open(place / "learnt").export(place / "engine"))
        theirs = learner.run(processor.encode(rows))
        ours = Tier.open(place).outputs(rows)
        assert Tier.open(place).work(rows) > 0, "tiers are put in order by it"
        for output, spec in task.outputs.items():
            assert np.asarray(ours[output]).shape == (len(rows), spec.width)
            # Two runtimes sum float32 in different orders.
            np.testing.assert_allclose(ours[output], theirs[output], atol=2e-4)


@pytest.mark.parametrize("name", plugins.names("learners"))
def test_a_learner_learns_from_shares_of_classes_as_a_pupil_does(name: str, tiny_model: Path, tmp_path: Path) -> None:
    learner_of, section = plugins.load("learners", name), plugins.options("learners", name)
    options = section(**({"model": str(tiny_model)} if "model" in section.model_fields else {}))
    task, rows = made("text-length-class" if name == "midpoint" else "text-classification")
    processor_of = plugins.load("processors", learner_of.processor)
    processor = processor_of(**processor_of.options_from(rows, ["text"], options.resolved()))
    shares = np.eye(next(iter(task.outputs.values())).width, dtype=np.float32)[task.target_of(rows)] * 0.8 + 0.05
    examples = Examples(processor.encode(rows), shares)
    learner = learner_of.create(options, task.outputs)
    learner.fit(examples, examples, Fitting(0, Silent(), tmp_path, tmp_path))
    assert np.isfinite(np.asarray(learner.run(processor.encode(rows))["logits"])).all()


@pytest.mark.parametrize("name", plugins.names("sources"))
def test_a_source_knows_what_is_not_its_own(name: str, tmp_path: Path) -> None:
    (tmp_path / "file.xyz").write_text("x")
    source = plugins.load("sources", name)
    assert not source.matches(tmp_path / "file.xyz")
    assert not source.matches(tmp_path)


@pytest.mark.parametrize("name", plugins.names("cleaners"))
def test_a_cleaner_says_of_each_row_whether_to_keep_it(name: str) -> None:
    rows: list[Row] = [{"text": "a", "y": 1}, {"text": "b", "y": 2}]
    keep = plugins.load("cleaners", name)(rows, ["text"], "y")
    assert keep.dtype == bool
    assert keep.tolist() == [True, True]


@pytest.mark.parametrize("name", plugins.names("checks"))
def test_a_check_returns_measurements_with_a_method(name: str, tmp_path: Path) -> None:
    task, rows = made("text-classification")
    outputs = lambda some: {k: np.asarray(v)[: len(some)] for k, v in some_outputs(task, rows).items()}  # noqa: E731
    (tmp_path / "file").write_text("x")
    measured = plugins.load("checks", name)(Subject(task, rows, outputs, lambda some: task.decode(outputs(some), some), tmp_path, outputs))
    assert measured
    assert all(m.method for m in measured)


def test_one_file_each_in_a_folder_of_ones_own_is_picked_up(tmp_path: Path) -> None:
    """The worked examples of CONTRIBUTING.md, through this very file and then through the whole pipeline."""
    if "text-length-class" in plugins.names("tasks"):
        pytest.skip("this is the inner run")
    import os

    environment = {**os.environ, "PENJING_PLUGINS": str(ROOT / "tests" / "example_plugins"), "PENJING_HOME": str(tmp_path / "home")}
    wanted = "text-length-class or lengths or threshold or midpoint"
    command = [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", __file__, "-k", wanted]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    for name in ("text-length-class", "lengths", "threshold", "midpoint"):
        assert f"[{name}] PASSED" in done.stdout
    data = tmp_path / "sizes.csv"
    data.write_text("text,size\n" + "".join(f"{'word ' * (n % 40)}{n},{'long' if n % 40 > 19 else 'short'}\n" for n in range(400)))
    run = [sys.executable, "-m", "penjing", "run", str(data), "--target", "size", "--tier", "midpoint", "--run", str(tmp_path / "run")]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "The task is text-length-class" in done.stderr
    assert "midpoint *" in done.stdout
