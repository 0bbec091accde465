"""Early exits: learnt from the whole, going on from each other, and stored once, in every runtime."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kills import Killed, Killer
from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.examples import Examples
from penjing.core.protocols import HasExits, HasLayers, Silent
from penjing.core.statistics import mean_loss
from penjing.core.tier import Tier, describe
from penjing.core.types import Batch, Link, NDArray, Ragged, Spec, take
from penjing.plugins.learners.transformer import tuning
from penjing.plugins.learners.transformer.learner import Transformer
from penjing.plugins.learners.transformer.options import Options
from penjing.training.texts import features

EXITS = [1, 3]
TOLERANCE = 1e-4
"""Float32 sums in another order differ in the sixth digit; logits here are below ten."""
NewRun = Callable[..., Any]


def logits(engine: Any, batch: Batch) -> NDArray:
    found = engine.run(batch)["logits"]
    assert isinstance(found, np.ndarray)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def saved_files(learner: Transformer, folder: Path) -> dict[str, bytes]:
    learner.save(folder)
    return files(folder)


@pytest.mark.parametrize("tune", ["frozen", "full"])
@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_exits_learn_for_every_link(deep: Any, new_run: NewRun, tune: str, link: Link) -> None:
    learner = deep(new_run(), link, tune=tune, epochs=2, exits=EXITS)
    assert list(learner.exits) == ["exit-1", "exit-3"]
    held_out = deep.examples(40, 9, link)
    nothing = np.zeros((40, 2), np.float32)
    for engine in learner.exits.values():
        assert mean_loss(logits(engine, held_out.inputs), held_out.target, link) < 0.8 * mean_loss(nothing, held_out.target, link)


@pytest.mark.changes("learners.transformer.exits")
@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_exits_are_where_they_are_asked_for_and_leave_the_whole_as_it_was(deep: Any, new_run: NewRun, tmp_path: Path, tune: str) -> None:
    run = new_run()
    with_exits, without = (saved_files(deep(run, tune=tune, epochs=1, exits=exits), tmp_path / str(len(exits))) for exits in ([2], []))
    assert with_exits.keys() - without.keys() == {"exits.safetensors"}
    assert all(with_exits[name] == without[name] for name in ("model.safetensors", "head.safetensors", "config.json"))
    assert not deep(run).exits
    assert list(deep(run, exits=[2]).exits) == ["exit-2"]


def test_exits_are_taught_by_the_whole(deep: Any, new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a head turned round, half of what an exit learns is the opposite of the truth: it ends up unsure of everything."""
    learner, inputs = deep(new_run(), exits=EXITS), deep.examples(60, 5).inputs
    sure = [np.abs(logits(engine, inputs)).mean() for engine in learner.exits.values()]
    learn_head = tuning._Tuning.learn_head

    def turned(this: Any, *rest: Any) -> Any:
        found = learn_head(this, *rest)
        this.encoder.set_head(-this.encoder.head.weight.detach().numpy(), -this.encoder.head.bias.detach().numpy())
        return found

    monkeypatch.setattr(tuning._Tuning, "learn_head", turned)
    unsure = [np.abs(logits(engine, inputs)).mean() for engine in deep(new_run(), exits=EXITS).exits.values()]
    assert max(unsure) < 0.2 * min(sure)


def test_a_frozen_encoder_with_exits_reads_each_text_once(deep: Any, new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    computed = features._computed
    monkeypatch.setattr(features, "_computed", lambda encoder, ids, *rest: read.append(len(ids)) or computed(encoder, ids, *rest))
    deep(new_run(), exits=EXITS)
    assert read == [60, 20]


def test_states_at_all_depths_are_kept_with_the_same_bits_as_the_features_alone(deep: Any, new_run: NewRun) -> None:
    alone, together = new_run(), new_run()
    deep(alone)
    deep(together, exits=EXITS)
    kept, more = files(alone.cache), files(together.cache)
    assert len(more) == 3 * len(kept)
    assert kept.items() <= more.items()


@pytest.mark.parametrize(("tune", "step", "after"), [("frozen", "reading with the frozen encoder", 1), ("full", "reading for the early exits", 0),
                                                     ("full", "reading for the early exits", 1), ("full", "fine-tuning", 5)])  # fmt: skip
def test_a_run_stopped_anywhere_ends_with_the_same_bytes(deep: Any, new_run: NewRun, tmp_path: Path, tune: str, step: str, after: int) -> None:
    whole = saved_files(deep(new_run(), tune=tune, epochs=1, exits=EXITS), tmp_path / "whole")
    stopped = new_run(progress=Killer.after(after, step))
    with pytest.raises(Killed):
        deep(stopped, tune=tune, epochs=1, exits=EXITS)
    stopped.progress = Silent()
    assert saved_files(deep(stopped, tune=tune, epochs=1, exits=EXITS), tmp_path / "again") == whole


def test_they_are_learnt_without_validation_rows(deep: Any, new_run: NewRun) -> None:
    learner = deep(new_run(), validation=0, exits=EXITS)
    assert np.isfinite(logits(learner.exits["exit-1"], deep.examples(5, 3).inputs)).all()


def test_fitting_refuses_what_planning_would_have(deep: Any, new_run: NewRun) -> None:
    with pytest.raises(PlanError, match="which has 4 layers"):
        deep(new_run(), exits=[4])


@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_shares_of_classes_are_learnt_as_classes_are(deep: Any, new_run: NewRun, tune: str) -> None:
    """One-hot shares are the classes; softer ones make softer answers, in the whole and in its exits."""
    train, validation, inputs = deep.examples(60, 1), deep.examples(20, 2), deep.examples(40, 9).inputs
    found = []
    for sure in (None, 1.0, 0.7):
        parts = [
            p if sure is None else Examples(p.inputs, (np.eye(2)[p.target] * (2 * sure - 1) + 1 - sure).astype(np.float32))
            for p in (train, validation)
        ]
        learner = Transformer.create(deep.options(tune=tune, epochs=2, exits=EXITS), {"logits": Spec(2, "softmax")})
        learner.fit(*parts, new_run().fitting)
        found.append([logits(engine, inputs) for engine in (*learner.exits.values(), learner)])
    classes, hard, soft = found
    for i in range(3):
        assert np.abs(classes[i] - hard[i]).max() < 0.02
        assert np.abs(soft[i]).mean() < np.abs(hard[i]).mean()


@pytest.fixture(scope="module")
def saved(deep: Any, new_run: NewRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved learner with exits."""
    folder = tmp_path_factory.mktemp("saved")
    deep(new_run(), tune="full", epochs=1, exits=EXITS).save(folder)
    return folder


@pytest.fixture(scope="module", params=["openvino-runtime", "onnx-runtime", "torch-runtime"])
def export(request: pytest.FixtureRequest, saved: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any]:
    """The name of a runtime, the folder exported for it, and the engine opened from there."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, exported(Transformer.open(saved), request.param, folder)


def exported(learner: Transformer, runtime: str, folder: Path) -> Any:
    learner.options = Options(**{**learner.options.model_dump(), "runtime": runtime})
    return plugins.load("engines", learner.export(folder)).open(folder)


def some() -> Batch:
    random = np.random.default_rng(0)
    return {"input_ids": Ragged.of([random.integers(4, 40, n) for n in (1, 2, 64, 7, 33, 0, 64, 8)], np.int32)}


def test_every_runtime_gives_the_learners_own_answers_at_every_end(export: tuple[str, Path, Any], saved: Path) -> None:
    learner, engine = Transformer.open(saved), export[2]
    assert isinstance(engine, HasExits)
    for ours, theirs in zip([*engine.exits.values(), engine], [*learner.exits.values(), learner], strict=True):
        assert np.abs(logits(ours, some()) - logits(theirs, some())).max() < TOLERANCE


def test_going_on_answers_as_beginning_again_does(export: tuple[str, Path, Any]) -> None:
    engine, which = export[2], np.array([5, 2, 0, 3])
    first, second = engine.exits.values()
    told = {**some(), **first.run(some())}
    on = take({name: array for name, array in told.items() if name != "logits"}, which)
    assert np.abs(logits(second, on) - logits(second, some())[which]).max() < TOLERANCE
    assert np.abs(logits(engine, on) - logits(engine, some())[which]).max() < TOLERANCE
    further = {**on, "state-3": second.run(on)["state-3"]}
    assert np.abs(logits(engine, further) - logits(engine, some())[which]).max() < TOLERANCE


def test_going_on_reads_the_state_and_not_the_text(export: tuple[str, Path, Any]) -> None:
    engine = export[2]
    state = engine.exits["exit-1"].run(some())["state-1"]
    other = {"input_ids": Ragged(np.full_like(some()["input_ids"].values, 7), some()["input_ids"].offsets)}
    assert np.abs(logits(engine, {**other, "state-1": state}) - logits(engine, some())).max() < TOLERANCE


def test_an_exit_answers_a_row_alike_in_any_company_and_from_any_thread(export: tuple[str, Path, Any], deep: Any) -> None:
    engine, ids = export[2], deep.examples(30, 3).inputs["input_ids"]

    def alone(i: int) -> NDArray:
        one = {"input_ids": ids.take(np.array([i]))}
        return logits(engine, {**one, "state-1": engine.exits["exit-1"].run(one)["state-1"]})

    with ThreadPoolExecutor(8) as pool:
        assert np.abs(np.concatenate(list(pool.map(alone, range(30)))) - logits(engine, {"input_ids": ids})).max() < TOLERANCE


def test_every_weight_is_stored_once(export: tuple[str, Path, Any], saved: Path) -> None:
    name, folder, _ = export
    ending = {"openvino-runtime": "*.bin", "onnx-runtime": "*.onnx", "torch-runtime": "*.safetensors"}[name]
    cut, weights = (sum(path.stat().st_size for path in place.glob(pattern)) for place, pattern in ((folder, ending), (saved, "*.safetensors")))
    graphs = 60_000 if name == "onnx-runtime" else 0  # they stand in the same files, and are as large as a small model's layer
    assert cut <= weights + graphs
    assert len(list(folder.glob(ending))) == 3


def test_another_export_is_the_same_bytes(export: tuple[str, Path, Any], saved: Path, tmp_path: Path) -> None:
    exported(Transformer.open(saved), export[0], tmp_path)
    assert files(tmp_path) == files(export[1])


def test_what_is_saved_opens_with_its_exits(saved: Path, tmp_path: Path) -> None:
    assert saved_files(Transformer.open(saved), tmp_path) == files(saved)


def test_an_exit_is_a_tier_of_its_own(export: tuple[str, Path, Any], saved: Path, tmp_path: Path) -> None:
    task = plugins.load("tasks", "text-classification")("label", ["text"], ["good", "bad"])
    tokens = plugins.load("processors", "tokens")
    processor = tokens(**tokens.options_from([], ["text"], Transformer.open(saved).options.resolved()))
    shutil.copytree(export[1], tmp_path / "engine")
    describe(tmp_path, "net", task, processor, export[0])
    members = Tier.open(tmp_path).members()
    assert [tier.name.removeprefix("net")[1:] for tier in members] == ["exit-1", "exit-3", ""]
    assert [tier.predict([{"text": "works well good"}])[0]["tier"] for tier in members] == [tier.name for tier in members]


def test_the_steps_are_named_alike_and_come_in_the_order_of_the_computation(export: tuple[str, Path, Any], saved: Path) -> None:
    learner, engine = Transformer.open(saved), export[2]
    assert isinstance(engine, HasLayers)
    ends = zip([*engine.exits.values(), engine], [*learner.exits.values(), learner], (1, 3, 4), strict=True)
    for ours, theirs, depth in ends:
        steps, expected = list(ours.layers(some())), list(theirs.layers(some()))
        assert [name for name, _ in steps] == ["embeddings", *(f"layer {i + 1}" for i in range(depth)), "pooled", "head"]
        for (name, values), (same, wanted) in zip(steps, expected, strict=True):
            assert name == same
            assert np.abs(values - wanted).max() < TOLERANCE


@pytest.mark.parametrize("exits", [[], EXITS])
def test_the_first_step_that_differs_is_the_one_that_was_changed(
    deep: Any, new_run: NewRun, tmp_path: Path, request: pytest.FixtureRequest, exits: list[int]
) -> None:
    learner = deep(new_run(), exits=exits)
    engine = exported(learner, "openvino-runtime", tmp_path)
    body = learner.encoder.body
    for name, weight in [
        ("head", learner.encoder.head.weight),
        ("layer 4", body.encoder.layer[3].output.dense.weight),
        ("layer 2", body.encoder.layer[1].attention.self.value.weight),
        ("embeddings", body.embeddings.word_embeddings.weight),
    ]:
        weight.data[1::2] *= 2.0
        differ = [a for (a, x), (_, y) in zip(learner.layers(some()), engine.layers(some()), strict=True) if np.abs(x - y).max() > TOLERANCE]
        assert differ[0] == name
