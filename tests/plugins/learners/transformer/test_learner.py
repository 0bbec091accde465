"""The transformer learns, frozen and in full, the same way each time, and is the same after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import kills
from kills import Killed, Killer
from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.protocols import Silent
from penjing.core.statistics import mean_loss
from penjing.core.types import Link, NDArray, Spec
from penjing.plugins.learners.transformer.learner import Transformer
from penjing.training import loop
from penjing.training.losses import scaled
from penjing.training.texts import features
from penjing.training.texts import trainee as texts
from penjing.training.texts.packed import reader
from penjing.training.texts.trainee import Texts

Fit = Any
NewRun = Callable[..., Any]


def weights(learner: Transformer, folder: Path) -> bytes:
    learner.save(folder)
    return (folder / "model.safetensors").read_bytes() + (folder / "head.safetensors").read_bytes()


def logits(learner: Transformer, fit: Fit) -> NDArray:
    found = learner.run(fit.examples(30, 3).inputs)["logits"]
    assert isinstance(found, np.ndarray)
    return found


@pytest.mark.parametrize("tune", ["frozen", "full"])
@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_it_learns_for_every_link(fit: Fit, new_run: NewRun, tune: str, link: Link) -> None:
    learner = fit(new_run(), link, tune=tune, train=120, epochs=6)
    held_out = fit.examples(40, 9, link)
    nothing = np.zeros((40, 2), np.float32)
    assert mean_loss(learner.run(held_out.inputs)["logits"], held_out.target, link) < 0.7 * mean_loss(nothing, held_out.target, link)


def test_the_best_epoch_is_what_is_kept(fit: Fit, new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    evaluated = Texts.validated
    monkeypatch.setattr(Texts, "validated", lambda self: seen.append(evaluated(self)) or seen[-1])
    validation = fit.examples(20, 2)
    learner = fit(new_run(), tune="full", epochs=6, learning_rate=0.01)
    losses = [found.loss for found in seen]
    assert min(losses) < losses[-1]
    kept = mean_loss(learner.run(validation.inputs)["logits"], validation.target, "softmax")
    assert kept <= min(losses) + 1e-6


def test_it_is_as_sure_as_the_rows_that_it_was_chosen_by_bear_out(fit: Fit, new_run: NewRun) -> None:
    """A fifth of the labels are wrong, and learnt by heart they would make every answer too sure."""
    random = np.random.default_rng(0)
    train, validation = (
        Examples(part.inputs, np.where(random.random(len(part)) < 0.2, 1 - part.target, part.target))
        for part in (fit.examples(60, 1), fit.examples(60, 2))
    )
    learner = Transformer.create(fit.options(tune="full", epochs=4, learning_rate=3e-3), {"logits": Spec(2, "softmax")})
    learner.fit(train, validation, new_run().fitting)
    scale, _ = scaled(np.asarray(learner.run(validation.inputs)["logits"], np.float64), np.zeros(2), validation.target, "softmax")
    assert scale == pytest.approx(1.0, rel=0.02)


def test_an_epoch_that_is_right_more_often_is_not_lost_for_being_too_sure(fit: Fit, new_run: NewRun) -> None:
    learner = fit(new_run(), tune="full", epochs=1, learning_rate=0.003)
    clean = fit.examples(200, 3)
    validation = Examples(clean.inputs, np.where(np.random.default_rng(0).random(200) < 0.2, 1 - clean.target, clean.target))
    trainee = Texts(learner.encoder, reader(learner.encoder.body, "f32"), validation, validation)
    head, logits = learner.encoder.head, np.asarray(learner.run(validation.inputs)["logits"])
    weight, bias = (part.detach().numpy() * 1.2 / logits.std() for part in (head.weight, head.bias))
    learner.encoder.set_head(weight, bias)
    loss = trainee.validated().loss
    learner.encoder.set_head(2 * weight, 2 * bias)
    louder = trainee.validated()
    assert louder.loss == pytest.approx(loss, rel=1e-3)
    assert louder.scale < 1


def test_a_head_that_fine_tuning_cannot_better_is_kept(fit: Fit, new_run: NewRun, tmp_path: Path) -> None:
    run = new_run()
    frozen = fit(run, tune="frozen")
    spoilt = fit(run, tune="full", epochs=1, learning_rate=1.0)
    assert weights(frozen, tmp_path / "a") == weights(spoilt, tmp_path / "b")


@pytest.mark.parametrize("tune", ["frozen", "full"])
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_the_same_seed_gives_the_same_bytes(fit: Fit, new_run: NewRun, tmp_path: Path, tune: str, precision: str) -> None:
    first, second = (weights(fit(new_run(), tune=tune, precision=precision, epochs=2), tmp_path / name) for name in "ab")
    assert first == second


def test_another_seed_gives_other_weights(fit: Fit, new_run: NewRun, tmp_path: Path) -> None:
    first, second = (weights(fit(new_run(seed=seed), tune="full"), tmp_path / str(seed)) for seed in (1, 2))
    assert first != second


@pytest.mark.parametrize("after", [0, 1, 2, 5, 9, 11, 18, 26])
def test_a_run_stopped_anywhere_ends_with_the_same_bytes(
    fit: Fit, new_run: NewRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    whole = weights(fit(new_run(), tune="full"), tmp_path / "whole")
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)  # after every step
    stopped = new_run(progress=Killer.after(after))
    with pytest.raises(Killed):
        fit(stopped, tune="full")
    stopped.progress = Silent()
    assert weights(fit(stopped, tune="full"), tmp_path / "again") == whole


def test_a_run_stopped_between_checkpoints_ends_with_the_same_bytes(fit: Fit, new_run: NewRun, tmp_path: Path) -> None:
    whole = weights(fit(new_run(), tune="full"), tmp_path / "whole")
    stopped = new_run(progress=Killer.after(14))
    with pytest.raises(Killed):
        fit(stopped, tune="full")
    stopped.progress = Silent()
    assert weights(fit(stopped, tune="full"), tmp_path / "again") == whole


def test_a_killed_process_ends_with_the_same_bytes(fit: Fit, new_run: NewRun, tmp_path: Path) -> None:
    run = new_run()
    code = f"""
import os, signal, sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(kills.__file__).parent)]!r}
from pathlib import Path
from conftest import Fit, Run
from kills import Killer
from penjing.training import loop
from penjing.training.texts import features
from penjing.training.texts import trainee as texts
killer = Killer.after(13, end=lambda: os.kill(os.getpid(), signal.SIGKILL))
loop.CHECKPOINT_SECONDS = -1.0
Fit(Path({str(fit.model)!r}))(Run(Path({str(run.folder)!r}), progress=killer), tune="full")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert list(run.checkpoints.rglob("state*.safetensors"))
    assert weights(fit(run, tune="full"), tmp_path / "again") == weights(fit(new_run(), tune="full"), tmp_path / "whole")


def test_no_checkpoint_is_a_pickle(fit: Fit, new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    run = new_run()
    fit(run, tune="full")
    files = [path for path in run.folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".npy"}
    assert all(load_file(path) for path in files if path.suffix == ".safetensors")
    assert all(np.load(path, allow_pickle=False).size for path in files if path.suffix == ".npy")


def test_a_checkpoint_of_other_work_is_not_gone_on_with(fit: Fit, new_run: NewRun, tmp_path: Path) -> None:
    run = new_run()
    fit(run, tune="full", learning_rate=0.01)
    assert weights(fit(run, tune="full"), tmp_path / "a") == weights(fit(new_run(), tune="full"), tmp_path / "b")


def test_the_next_tier_reads_no_text_again(fit: Fit, new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run()
    fit(run, tune="frozen")
    monkeypatch.setattr(features, "_computed", lambda *_: pytest.fail("computed again"))
    fit(run, tune="full", epochs=1)


def test_progress_counts_examples(fit: Fit, new_run: NewRun) -> None:
    class Counter(Silent):
        def __init__(self) -> None:
            self.steps: list[list[float]] = []
            self.note = ""

        def start(self, what: str, total: float) -> None:
            self.steps.append([total, 0])

        def advance(self, done: float, note: str = "") -> None:
            self.steps[-1][1] += done
            self.note = note

    counter = Counter()
    fit(new_run(progress=counter), tune="full", epochs=2)
    assert counter.steps == [[80, 80], [120, 120]]
    assert "epoch 2 of at most 2, loss" in counter.note


def test_a_row_is_answered_alike_in_any_company(fit: Fit, new_run: NewRun) -> None:
    learner = fit(new_run(), tune="full", epochs=1)
    ids = fit.examples(30, 3).inputs["input_ids"]
    alone = np.concatenate([learner.run({"input_ids": ids.take(np.array([i]))})["logits"] for i in range(30)])
    assert np.abs(alone - logits(learner, fit)).max() < 1e-4


def test_no_rows_and_empty_texts_are_answered(fit: Fit, new_run: NewRun) -> None:
    from penjing.core.types import Ragged

    learner = fit(new_run())
    assert learner.run({"input_ids": Ragged.of([], np.int32)})["logits"].shape == (0, 2)
    assert np.isfinite(learner.run({"input_ids": Ragged.of([[], [2, 3]], np.int32)})["logits"]).all()


@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_it_learns_without_validation_rows(fit: Fit, new_run: NewRun, tune: str) -> None:
    assert np.isfinite(logits(fit(new_run(), tune=tune, validation=0, epochs=1), fit)).all()


def test_what_is_saved_opens_to_the_same_answers(fit: Fit, new_run: NewRun, tmp_path: Path) -> None:
    learner = fit(new_run(), tune="full", epochs=1)
    learner.save(tmp_path)
    again = Transformer.open(tmp_path)
    assert again.options == learner.options
    assert np.array_equal(logits(again, fit), logits(learner, fit))


def test_nothing_learnt_cannot_be_run(fit: Fit) -> None:
    learner = Transformer.create(fit.options(), {"logits": Spec(2, "softmax")})
    with pytest.raises(RunFailed, match="has not learnt yet"):
        learner.run({})


def test_weights_that_the_config_names_and_the_folder_lacks_are_told(fit: Fit, new_run: NewRun, tmp_path: Path) -> None:
    import shutil

    from safetensors.numpy import save_file

    shutil.copytree(fit.model, tmp_path / "cut")
    held = load_file(tmp_path / "cut" / "model.safetensors")
    save_file({name: array for name, array in held.items() if "layer.1." not in name}, tmp_path / "cut" / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunFailed, match=r"lacks \d+ weights"):
        fit(new_run(), model=f"path:{tmp_path / 'cut'}")


def test_a_diverging_run_says_what_to_change(fit: Fit, new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "losses_of", lambda logits, *rest: logits.sum(dim=1) * float("nan"))
    with pytest.raises(RunFailed, match="smaller learning_rate"):
        fit(new_run(), tune="full")


@pytest.mark.changes("learners.transformer.model")
def test_the_model_is_what_is_tuned(fit: Fit, new_run: NewRun, tmp_path: Path) -> None:
    import shutil

    from safetensors.numpy import save_file

    shutil.copytree(fit.model, tmp_path / "other")
    held = load_file(tmp_path / "other" / "model.safetensors")
    save_file({name: array * np.float32(0.5) for name, array in held.items()}, tmp_path / "other" / "model.safetensors", {"format": "pt"})
    run = new_run()
    assert not np.array_equal(logits(fit(run), fit), logits(fit(run, model=f"path:{tmp_path / 'other'}"), fit))


@pytest.mark.changes("learners.transformer.tune")
def test_tune_frozen_leaves_the_encoder_as_it_was(fit: Fit, new_run: NewRun, tmp_path: Path) -> None:
    run = new_run()
    fit(run, tune="frozen").save(tmp_path / "frozen")
    fit(run, tune="full").save(tmp_path / "full")
    name = "encoder.layer.0.attention.self.query.weight"
    source, frozen, full = (load_file(folder / "model.safetensors")[name] for folder in (fit.model, tmp_path / "frozen", tmp_path / "full"))
    assert np.array_equal(source, frozen)
    assert not np.array_equal(source, full)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("epochs", 1, marks=pytest.mark.changes("learners.transformer.epochs")),
        pytest.param("learning_rate", 3e-4, marks=pytest.mark.changes("learners.transformer.learning_rate")),
        pytest.param("batch_size", 16, marks=pytest.mark.changes("learners.transformer.batch_size")),
        pytest.param("precision", "bf16", marks=pytest.mark.changes("learners.transformer.precision")),
    ],
)
def test_another_value_learns_other_weights(fit: Fit, new_run: NewRun, key: str, value: object) -> None:
    assert not np.array_equal(logits(fit(new_run(), tune="full"), fit), logits(fit(new_run(), tune="full", **{key: value}), fit))
