"""Every plugin keeps its contract. A new file is picked up by its name: no edit is needed here."""

from __future__ import annotations

import dataclasses
import io
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
from penjing.core.learning.tiers import TierConfig
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, HasNames, Silent, Subject
from penjing.core.tier import Tier, describe, packed, unpacked
from penjing.core.types import Batch, Estimate, Measurement, Row, size

ROOT = Path(__file__).parents[2]
TEXTS = ["a good day", "bad", "an excellent, long and sunny day", "poor", "", "好天气", "😀 fine", None]
JOBS, DATES = ["cook", "clerk", "cook", None, "smith", "", "clerk", "cook"], ["2026-01-05", "2026-02-17", None, "2025-12-31"]
MADE_OF: dict[str, Any] = {"search": {"of": "linear", "trials": 2}, "ensemble": {"of": ["linear"], "members": 2}}
"""Options of learners that are made of others."""
TARGETS: list[list[Any]] = [["yes", "no"], [1.5, 2.25], [["a"], ["a", "b"]], ["short", "long"]]


def picture(i: int) -> bytes:
    """Return a small PNG of one colour with a stripe."""
    from PIL import Image

    image = Image.new("RGB", (12 + i % 3, 10), (30 * i % 256, 200 - 20 * (i % 8), 90))
    image.paste((255, 255, 255), (i % 8, 0, i % 8 + 2, 10))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def inputs(kind: str, i: int) -> Row:
    """Return the inputs of row `i`, of each kind of input: a new kind is added here."""
    table = {"age": str(20 + 3 * (i % 9)) if i % 7 else "", "job": JOBS[i % 8], "since": DATES[i % 4], "married": ("yes", "no")[i % 2]}
    return {"text": lambda: {"text": TEXTS[i % 8]}, "table": lambda: table, "image": lambda: {"image": picture(i)}}[kind]()


def rows_for(task: Any, count: int = 24) -> list[Row]:
    """Return labelled rows whose targets suit the task best."""
    values = max(TARGETS, key=lambda v: (task.suits(v * 10)[0], task.suits(v * 10)[0] > 0))
    return [{**inputs(task.inputs, i), "answer": values[i % 2] if not isinstance(values[0], float) else 0.1 * i} for i in range(count)]


def made(name: str) -> tuple[Any, list[Row]]:
    kind = plugins.load("tasks", name)
    rows = rows_for(kind)
    return kind(**kind.options_from(rows, "answer", columns(kind.inputs))), rows


def columns(kind: str) -> list[str]:
    return list(inputs(kind, 0))


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
    assert set(task.example) == set(columns(task.inputs))
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
        task.target_of([{**inputs(task.inputs, 0), "answer": "no such thing at all"}])


def given(processor: str, models: dict[str, Path]) -> dict[str, Any]:
    """Return what a learner would hand on to the processor."""
    learners = (name for name in plugins.names("learners") if reads(name) == processor)
    return next((options_for(name, models).resolved() for name in learners), {})


@pytest.mark.parametrize("name", plugins.names("processors"))
def test_a_processor_keeps_its_contract(name: str, models: dict[str, Path]) -> None:
    kind = plugins.load("processors", name)
    rows = [inputs(kind.inputs, i) for i in range(8)]
    processor = kind(**kind.options_from(rows, columns(kind.inputs), given(name, models)))
    again = unpacked("processors", json.loads(json.dumps(packed("processors", processor))))
    whole = processor.encode(rows)
    assert size(whole) == len(rows)
    for i, row in enumerate(rows):
        for name_, alone in again.encode([row]).items():
            missing = np.issubdtype(alone[0].dtype, np.floating)
            assert np.array_equal(alone[0], whole[name_][i], equal_nan=missing), f"{name_} of row {i} depends on the other rows"
    missing: Row = dict.fromkeys(columns(kind.inputs))
    try:
        assert size(processor.encode([missing])) == 1, "a row without values is read as empty"
    except DataError as error:
        assert "row" in str(error)  # or refused in a sentence, where nothing can be made of it


@pytest.mark.parametrize("name", plugins.names("engines"))
def test_an_engine_says_plainly_that_a_folder_holds_nothing_for_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(PenjingError):
        plugins.load("engines", name).open(tmp_path)


@pytest.mark.parametrize("name", plugins.names("learners"))
def test_a_learner_learns_exports_and_answers_the_same_from_its_export(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    learner_of = plugins.load("learners", name)
    options = options_for(name, models)
    processor_of = plugins.load("processors", reads(name))
    for task_name in plugins.names("tasks"):
        task, rows = made(task_name)
        if task.inputs != processor_of.inputs:
            continue
        processor = processor_of(**processor_of.options_from(rows, columns(task.inputs), options.resolved()))
        names = processor.names if isinstance(processor, HasNames) else {}
        try:
            estimate = learner_of.plan(options, rows, columns(task.inputs), task.outputs, Machine.here(), len(rows))
        except PenjingError:
            continue  # a learner may refuse a task, before anything is spent
        assert isinstance(estimate, Estimate)
        place = tmp_path / task_name
        for folder in ("checkpoints", "cache", "learnt", "engine"):
            (place / folder).mkdir(parents=True)
        examples = Examples(processor.encode(rows), task.target_of(rows))
        learner = learner_of.create(options, task.outputs)
        learner.fit(examples, examples, Fitting(0, Silent(), place / "checkpoints", place / "cache", names))
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
def test_a_learner_learns_from_shares_of_classes_as_a_pupil_does(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    task, rows, batch = classified(name, models)
    shares = np.eye(next(iter(task.outputs.values())).width, dtype=np.float32)[task.target_of(rows)] * 0.8 + 0.05
    assert np.isfinite(learnt(name, models, task, Examples(batch, shares), tmp_path)).all()


@pytest.mark.parametrize("name", plugins.names("learners"))
def test_a_learner_learns_more_from_rows_that_weigh_more(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    task, rows, batch = classified(name, models)
    target = np.random.default_rng(0).permutation(task.target_of(rows))  # nothing to learn but how often each class is
    means = []
    for favoured in (0, 1):
        (tmp_path / str(favoured)).mkdir()
        weight = np.where(target == favoured, 1.9, 0.1).astype(np.float32)
        logits = learnt(name, models, task, Examples(batch, target, weight), tmp_path / str(favoured))
        means.append(float((logits[:, 1] - logits[:, 0]).mean()))
    if name != "midpoint":  # the worked example knows two means and no weights
        assert means[1] > means[0]


def options_for(name: str, models: dict[str, Path]) -> Any:
    """Return options of the learner with a model small enough for a test, where it wants one."""
    section = plugins.options("learners", name)
    kind = plugins.load("processors", reads(name)).inputs
    return section(**MADE_OF.get(name, {}), **({"model": str(models[kind])} if "model" in section.model_fields else {}))


def reads(name: str) -> str:
    """Return the name of the processor whose batches the learner reads."""
    return TierConfig.parse({"learner": name, **MADE_OF.get(name, {})}).processor


def classified(name: str, models: dict[str, Path]) -> tuple[Any, list[Row], Batch]:
    """Return a task of labels that the learner can learn, rows for it, and these encoded."""
    processor_of = plugins.load("processors", reads(name))
    tasks = {"text": "text-classification", "table": "tabular-classification", "image": "image-classification"}
    task, rows = made("text-length-class" if name == "midpoint" else tasks[processor_of.inputs])
    processor = processor_of(**processor_of.options_from(rows, columns(task.inputs), options_for(name, models).resolved()))
    return task, rows, processor.encode(rows)


def learnt(name: str, models: dict[str, Path], task: Any, examples: Examples, folder: Path) -> Any:
    """Return the (B, W) logits of the learner for what it has learnt."""
    learner = plugins.load("learners", name).create(options_for(name, models), task.outputs)
    learner.fit(examples, Examples(examples.inputs, examples.target), Fitting(0, Silent(), folder, folder))
    return np.asarray(learner.run(examples.inputs)["logits"])


@pytest.mark.parametrize("name", plugins.names("sources"))
def test_a_source_knows_what_is_not_its_own(name: str, tmp_path: Path) -> None:
    (tmp_path / "file.xyz").write_text("x")
    source = plugins.load("sources", name)
    assert not source.matches(tmp_path / "file.xyz")
    assert not source.matches(tmp_path)


@pytest.mark.parametrize("name", plugins.names("inputs"))
def test_a_kind_of_input_finds_its_own_columns_and_makes_up_a_row(name: str) -> None:
    kind = plugins.load("inputs", name)
    rows = [inputs(name, i) for i in range(24)]
    found = kind.find(rows, columns(name), None)
    assert found.fit > 0
    assert set(found.columns) <= set(columns(name))
    assert kind.find(rows, columns(name), columns(name)[:1]).columns == columns(name)[:1], "what the user names is read"
    nothing = kind.find([{"x": ""}, {"x": None}], ["x"], None)
    assert (nothing.fit, nothing.columns) == (0, [])
    assert nothing.why
    assert all(isinstance(sentence, str) for sentence in kind.examine(rows, columns(name), "answer"))
    assert set(kind.like(rows, columns(name))) == set(columns(name))
    assert kind.like(rows, columns(name)) not in rows
    assert all(TierConfig.parse(tier) for tier in kind.tiers)
    assert isinstance(kind.recurs, bool)


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
