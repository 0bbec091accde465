"""The backbone learns with its head alone and as a whole, is served as learnt, and every option has its effect."""

from __future__ import annotations

import json
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
from penjing.plugins.learners.backbone.learner import Backbone
from penjing.plugins.learners.backbone.options import Options

TOLERANCE = 1e-3
"""Float32 sums in another order differ in the sixth digit; logits here are below a hundred."""
STILL = {"flip": False, "crop": 0.0}


def pictures(count: int, seed: int) -> tuple[NDArray, NDArray]:
    """Noise with a bar: upright (class 0) or lying (class 1), anywhere."""
    random = np.random.default_rng(seed)
    pixels, target = random.integers(0, 90, (count, 32, 32, 3)).astype(np.uint8), np.arange(count) % 2
    for picture, lying, at in zip(pixels, target, random.integers(2, 24, count), strict=True):
        (picture if lying else picture.swapaxes(0, 1))[at : at + 5] = 220
    return pixels, target


def learnt(folder: Path, link: Link = "softmax", train: Examples | None = None, validation: Examples | None = None, **given: Any) -> Backbone:
    (x, y), (held_x, held_y) = pictures(48, 1), pictures(16, 2)
    one = (lambda t: t) if link == "softmax" else (lambda t: np.stack([1 - t, t], 1).astype(np.float32))
    descent = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, "augment": STILL}
    if given.get("tune") != "full":
        given, descent = {name: value for name, value in given.items() if name not in descent}, {}
    small = {"precision": "f32", "size": 32, **descent, **given}
    learner = Backbone.create(Options(**small), {"logits": Spec(2, link)})
    fitting = Fitting(1, Silent(), folder / "checkpoints", folder / "cache")
    if validation is None:
        validation = Examples({"pixels": held_x}, one(held_y))
    learner.fit(train or Examples({"pixels": x}, one(y)), validation, fitting)
    return learner


def answers(learner: Any) -> NDArray:
    return np.asarray(learner.run({"pixels": pictures(24, 3)[0]})["logits"])


def right(learner: Any) -> float:
    return float((answers(learner).argmax(1) == pictures(24, 3)[1]).mean())


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_it_learns_what_a_picture_shows(tmp_path: Path, link: Link) -> None:
    assert right(learnt(tmp_path, link)) > 0.9


@pytest.mark.changes("learners.backbone.tune")
@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_fine_tuning_goes_on_from_the_head(tmp_path: Path, tiny_vision: Path, link: Link) -> None:
    (x, y), nothing = pictures(48, 1), pictures(0, 1)
    one = (lambda t: t) if link == "softmax" else (lambda t: np.stack([1 - t, t], 1).astype(np.float32))
    told = {"train": Examples({"pixels": x}, one(y)), "validation": Examples({"pixels": nothing[0]}, one(nothing[1])), "model": str(tiny_vision)}
    frozen, full = (learnt(tmp_path, link, **told, tune=tune, learning_rate=1e-5) for tune in ("frozen", "full"))
    assert not np.array_equal(answers(frozen), answers(full))
    assert answers(frozen) == pytest.approx(answers(full), abs=0.1)


@pytest.mark.changes("learners.backbone.model")
def test_the_packaged_model_is_learnt_frozen_and_fully_and_its_norms_stay(tmp_path: Path, tiny_vision: Path) -> None:
    frozen, full = (learnt(tmp_path, tune=tune, epochs=1) for tune in ("frozen", "full"))
    assert right(frozen) > 0.9
    assert right(full) > 0.9
    before, after = (learner._net.state_dict() for learner in (frozen, full))
    assert all(bool((before[name] == after[name]).all()) for name in before if "running" in name)
    assert not all(bool((before[name] == after[name]).all()) for name in before)
    assert not np.array_equal(answers(frozen), answers(learnt(tmp_path, model=str(tiny_vision))))


def test_it_learns_shares_without_validation_rows(tmp_path: Path) -> None:
    x, y = pictures(48, 1)
    train = Examples({"pixels": x}, np.eye(2, dtype=np.float32)[y] * 0.8 + 0.1)
    assert right(learnt(tmp_path, train=train, validation=Examples({"pixels": x[:0]}, y[:0]), tune="full", learning_rate=1e-5)) > 0.8


@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_rows_that_count_for_nothing_teach_nothing(tmp_path: Path, tiny_vision: Path, tune: str) -> None:
    x, y = pictures(64, 1)
    wrong = np.arange(64) >= 44
    weight = np.where(wrong, 0, 1.45).astype(np.float32)
    told = [Examples({"pixels": x}, target, weight) for target in (y, np.where(wrong, 1 - y, y))]
    found = [answers(learnt(tmp_path / str(i), train=train, model=str(tiny_vision), tune=tune)) for i, train in enumerate(told)]
    assert np.allclose(*found, atol=1e-5)


def test_what_was_read_once_is_not_read_again(tmp_path: Path, tiny_vision: Path) -> None:
    first = answers(learnt(tmp_path, model=str(tiny_vision)))
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert np.array_equal(answers(learnt(tmp_path, model=str(tiny_vision))), first)
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}


@pytest.mark.parametrize("model", ["efficientnet-lite0", "tiny"])
def test_it_is_served_as_it_was_learnt_from_the_same_bytes_each_time(tmp_path: Path, tiny_vision: Path, model: str) -> None:
    learner = learnt(tmp_path, model=model if model != "tiny" else str(tiny_vision))
    learner.save(tmp_path / "saved")
    for name in ("once", "again"):
        assert Backbone.open(tmp_path / "saved").export(tmp_path / name) == "openvino-runtime"
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("once", "again")]
    assert files[0] == files[1]
    assert not [name for name, content in files[0].items() if str(tiny_vision).encode() in content or b"site-packages" in content]
    engine = plugins.load("engines", "openvino-runtime").open(tmp_path / "once")
    assert np.abs(answers(engine) - answers(learner)).max() < TOLERANCE
    batch = {"pixels": pictures(3, 4)[0]}
    ours, theirs = dict(learner.layers(batch)), dict(engine.layers(batch))
    assert list(ours) == list(theirs)
    assert list(ours)[-2:] == ["pooled", "head"]
    assert all(np.abs(ours[name] - theirs[name]).max() < TOLERANCE for name in ours)


@pytest.mark.changes("learners.backbone.runtime")
def test_the_runtime_decides_what_is_exported(tmp_path: Path, tiny_vision: Path) -> None:
    learner = learnt(tmp_path, model=str(tiny_vision), runtime="torch-runtime")
    engine = plugins.load("engines", learner.export(tmp_path / "torch")).open(tmp_path / "torch")
    assert (tmp_path / "torch" / "net.safetensors").is_file()
    assert np.array_equal(answers(engine), answers(learner))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"epochs": 1}, marks=pytest.mark.changes("learners.backbone.epochs")),
        pytest.param({"learning_rate": 1e-4}, marks=pytest.mark.changes("learners.backbone.learning_rate")),
        pytest.param({"batch_size": 8}, marks=pytest.mark.changes("learners.backbone.batch_size")),
        pytest.param({"precision": "bf16"}, marks=pytest.mark.changes("learners.backbone.precision")),
        pytest.param({"augment": {"flip": False, "crop": 0.2}}, marks=pytest.mark.changes("learners.backbone.augment")),
    ],
)
def test_an_option_changes_what_is_learnt(tmp_path: Path, tiny_vision: Path, given: dict[str, Any]) -> None:
    x, y = pictures(48, 1)
    nothing = Examples({"pixels": x[:0]}, y[:0])  # without them the last epoch is kept, whatever it is worth
    found = [answers(learnt(tmp_path, validation=nothing, model=str(tiny_vision), tune="full", **more)) for more in ({}, given)]
    assert not np.array_equal(*found)


@pytest.mark.changes("learners.backbone.size")
@pytest.mark.changes("learners.backbone.fit")
def test_size_and_fit_decide_what_is_seen(tmp_path: Path, tiny_vision: Path) -> None:
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, :32] = (255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "wide.png")
    processor = plugins.load("processors", Backbone.processor)

    def seen(**given: Any) -> NDArray:
        made = processor(**processor.options_from([], ["image"], Options(**given).resolved()))
        return np.asarray(made.encode([{"image": tmp_path / "wide.png"}])["pixels"])

    assert seen().shape == (1, 224, 224, 3)
    assert seen(size=64).shape == (1, 64, 64, 3)
    assert seen(model=str(tiny_vision)).shape == (1, 32, 32, 3)
    assert seen(size=64)[..., 0].max() < 128
    assert seen(size=64, fit="stretch")[0, 32, 2, 0] > 200


def test_a_size_that_the_model_cannot_read_is_refused(tiny_vision: Path) -> None:
    with pytest.raises(PlanError, match="reads pictures of 32 pixels a side only, and size is 64. Leave size out"):
        Options(model=str(tiny_vision), size=64).resolved()


def test_a_plan_rises_with_rows_size_and_epochs_and_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, machine = {"logits": Spec(2, "softmax")}, Machine.here()
    monkeypatch.setattr("penjing.plugins.learners.backbone.planning.probed", lambda: 5e10)

    def seconds(count: int, **given: Any) -> float:
        return Backbone.plan(Options(**given), [], ["image"], outputs, machine, count).seconds

    assert seconds(100) < seconds(10_000)
    assert seconds(10_000, size=64) < seconds(10_000) < seconds(10_000, tune="full") < seconds(10_000, tune="full", epochs=10)
    from importlib.util import find_spec

    for library, extra in (("torch", "train"), ("PIL", "images")):
        monkeypatch.setattr("importlib.util.find_spec", lambda name, gone=library: None if name == gone else find_spec(name))
        with pytest.raises(MissingLibrary, match=rf"penjing\[{extra}\]"):
            seconds(10)


def test_planning_imports_neither_torch_nor_transformers() -> None:
    import subprocess
    import sys

    program = """
import sys
from penjing.core.machine import Machine
from penjing.core.types import Spec
from penjing.core import plugins
for name in ("backbone", "image-network", "pixel-linear"):
    learner = plugins.load("learners", name)
    learner.plan(learner.Options(), [], ["image"], {"logits": Spec(2, "softmax")}, Machine.here(), 10)
import json
print(json.dumps([name for name in ("torch", "transformers", "openvino") if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == []
