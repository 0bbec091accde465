"""The small net learns, resumes, is served as learnt, and every option has its effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from penjing.core import plugins
from penjing.core.errors import MissingLibrary, PlanError
from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Link, NDArray, Spec
from penjing.plugins.learners.image_network.learner import ImageNetwork
from penjing.plugins.learners.image_network.options import Options

TOLERANCE = 1e-4
"""Float32 sums in another order differ in the sixth digit; logits here are below ten."""
STILL = {"flip": False, "crop": 0.0}


def pictures(count: int, seed: int) -> tuple[NDArray, NDArray]:
    """Noise with a bar: upright (class 0) or lying (class 1), anywhere."""
    random = np.random.default_rng(seed)
    pixels, target = random.integers(0, 90, (count, 16, 16, 3)).astype(np.uint8), np.arange(count) % 2
    for picture, lying, at in zip(pixels, target, random.integers(2, 12, count), strict=True):
        (picture if lying else picture.swapaxes(0, 1))[at : at + 3] = 220
    return pixels, target


def options(**given: Any) -> Options:
    small = {"size": 16, "channels": 8, "stages": 2, "epochs": 2, "batch_size": 16, "learning_rate": 1e-2, "precision": "f32", "augment": STILL}
    return Options(**{**small, **given})


def learnt(
    folder: Path, link: Link = "softmax", train: Examples | None = None, validation: Examples | None = None, seed: int = 1, **given: Any
) -> ImageNetwork:
    (x, y), (held_x, held_y) = pictures(48, 1), pictures(16, 2)
    one = (lambda t: t) if link == "softmax" else (lambda t: np.stack([1 - t, t], 1).astype(np.float32))
    learner = ImageNetwork.create(options(**given), {"logits": Spec(2, link)})
    fitting = Fitting(seed, Silent(), folder / "checkpoints", folder / "cache")
    if validation is None:
        validation = Examples({"pixels": held_x}, one(held_y))
    learner.fit(train or Examples({"pixels": x}, one(y)), validation, fitting)
    return learner


def answers(learner: Any, seed: int = 3) -> NDArray:
    return np.asarray(learner.run({"pixels": pictures(24, seed)[0]})["logits"])


def right(learner: Any) -> float:
    return float((answers(learner).argmax(1) == pictures(24, 3)[1]).mean())


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_it_learns_what_a_picture_shows(tmp_path: Path, link: Link) -> None:
    assert right(learnt(tmp_path, link, epochs=8)) > 0.9


def test_it_learns_shares_without_validation_rows(tmp_path: Path) -> None:
    x, y = pictures(48, 1)
    train = Examples({"pixels": x}, np.eye(2, dtype=np.float32)[y] * 0.8 + 0.1)
    assert right(learnt(tmp_path, train=train, validation=Examples({"pixels": x[:0]}, y[:0]), epochs=8)) > 0.9


def test_rows_that_count_for_nothing_teach_nothing(tmp_path: Path) -> None:
    x, y = pictures(64, 1)
    wrong = np.arange(64) >= 44
    train = Examples({"pixels": x}, np.where(wrong, 1 - y, y), np.where(wrong, 0, 1.45).astype(np.float32))
    other = Examples({"pixels": x}, y, train.weight)
    assert np.array_equal(answers(learnt(tmp_path / "a", train=train)), answers(learnt(tmp_path / "b", train=other)))


@pytest.mark.changes("learners.image-network.runtime")
@pytest.mark.parametrize("runtime", ["openvino-runtime", "onnx-runtime", "torch-runtime"])
def test_every_runtime_gives_the_learners_own_answers_from_the_same_bytes_each_time(tmp_path: Path, runtime: str) -> None:
    learner = learnt(tmp_path, runtime=runtime, epochs=1)
    learner.save(tmp_path / "saved")
    names = ("once",) if runtime == "onnx-runtime" else ("once", "again")  # its exporter takes many seconds; test_nets_files holds it to its bytes
    for name in names:
        assert ImageNetwork.open(tmp_path / "saved").export(tmp_path / name) == runtime
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in names]
    assert files[0] == files[-1]
    engine = plugins.load("engines", runtime).open(tmp_path / "once")
    assert np.abs(answers(engine) - answers(learner)).max() < TOLERANCE
    batch = {"pixels": pictures(5, 4)[0]}
    ours, theirs = dict(learner.layers(batch)), dict(engine.layers(batch))
    assert list(ours) == list(theirs) == ["normalised", "stem", "stage 1", "stage 2", "pooled", "head"]
    assert all(np.abs(ours[name] - theirs[name]).max() < TOLERANCE for name in ours)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"channels": 16}, marks=pytest.mark.changes("learners.image-network.channels")),
        pytest.param({"stages": 1}, marks=pytest.mark.changes("learners.image-network.stages")),
        pytest.param({"epochs": 1}, marks=pytest.mark.changes("learners.image-network.epochs")),
        pytest.param({"learning_rate": 1e-3}, marks=pytest.mark.changes("learners.image-network.learning_rate")),
        pytest.param({"batch_size": 8}, marks=pytest.mark.changes("learners.image-network.batch_size")),
        pytest.param({"weight_decay": 5.0}, marks=pytest.mark.changes("learners.image-network.weight_decay")),
        pytest.param({"precision": "bf16"}, marks=pytest.mark.changes("learners.image-network.precision")),
        pytest.param({"augment": {"flip": False, "crop": 0.2}}, marks=pytest.mark.changes("learners.image-network.augment")),
        pytest.param({"augment": {**STILL, "mixup": 1.0}}, id="mixup"),
    ],
)
def test_an_option_changes_what_is_learnt(tmp_path: Path, given: dict[str, Any]) -> None:
    assert not np.array_equal(answers(learnt(tmp_path / "a")), answers(learnt(tmp_path / "b", **given)))


def test_the_same_seed_gives_the_same_bits_and_another_one_others(tmp_path: Path) -> None:
    once, again, other = (answers(learnt(tmp_path / str(i), seed=seed)) for i, seed in enumerate((1, 1, 2)))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


@pytest.mark.changes("learners.image-network.patience")
def test_patience_decides_how_long_learning_goes_on_without_getting_better(tmp_path: Path) -> None:
    told = []

    class Told(Silent):
        def advance(self, done: float, note: str = "") -> None:
            told[-1].add(note.partition(",")[0])

    x, _ = pictures(16, 1)
    random = np.random.default_rng(0).integers(0, 2, 16)
    for patience in (1, 4):
        told.append(set())
        learner = ImageNetwork.create(options(patience=patience, epochs=6, learning_rate=0.1), {"logits": Spec(2, "softmax")})
        fitting = Fitting(1, Told(), tmp_path / str(patience), tmp_path)
        learner.fit(Examples({"pixels": x}, random), Examples({"pixels": x}, 1 - random), fitting)
    assert len(told[0]) < len(told[1])


def encoded(tmp_path: Path, **given: Any) -> NDArray:
    """Return the pixels of a wide picture that is red on the left, as a tier with these options reads it."""
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, :32] = (255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "wide.png")
    processor = plugins.load("processors", ImageNetwork.processor)
    made = processor(**processor.options_from([], ["image"], options(**given).resolved()))
    return np.asarray(made.encode([{"image": tmp_path / "wide.png"}])["pixels"])


@pytest.mark.changes("learners.image-network.size")
@pytest.mark.changes("learners.image-network.fit")
def test_size_and_fit_decide_what_is_seen(tmp_path: Path) -> None:
    assert encoded(tmp_path).shape == (1, 16, 16, 3)
    assert encoded(tmp_path, size=24).shape == (1, 24, 24, 3)
    assert encoded(tmp_path)[..., 0].max() < 128
    assert encoded(tmp_path, fit="stretch")[0, 8, 1, 0] > 200


def test_a_plan_refuses_what_cannot_be_and_rises_with_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"logits": Spec(2, "softmax")}
    few, more = (ImageNetwork.plan(options(), [], ["image"], outputs, Machine.here(), n) for n in (100, 100_000))
    assert few.seconds < more.seconds
    with pytest.raises(PlanError, match="Set stages: 3"):
        ImageNetwork.plan(options(stages=5), [], ["image"], outputs, Machine.here(), 10)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(MissingLibrary, match=r"penjing\[train\]"):
        ImageNetwork.plan(options(), [], ["image"], outputs, Machine.here(), 10)


@pytest.mark.parametrize(("count", "rows"), [(100, 16), (3000, 30), (100_000, 64)])
def test_few_rows_are_learnt_in_smaller_steps_unless_said_otherwise(count: int, rows: int) -> None:
    options = plugins.options("learners", "image-network")
    assert options().batch_for(count) == rows
    assert options(batch_size=128).batch_for(count) == 128
