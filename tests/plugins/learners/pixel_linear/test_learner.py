"""The first tier for pictures learns from all kinds of target, honours weights, and is what its options say."""

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
from penjing.plugins.learners.pixel_linear.learner import PixelLinear
from penjing.plugins.learners.pixel_linear.options import Options


def pictures(count: int, seed: int) -> tuple[NDArray, NDArray]:
    """Noise with a bar: upright (class 0) or lying (class 1), anywhere."""
    random = np.random.default_rng(seed)
    pixels, target = random.integers(0, 90, (count, 32, 32, 3)).astype(np.uint8), np.arange(count) % 2
    for picture, lying, at in zip(pixels, target, random.integers(4, 24, count), strict=True):
        (picture if lying else picture.swapaxes(0, 1))[at : at + 4] = 220
    return pixels, target


def examples(count: int, seed: int, link: Link = "softmax", **more: Any) -> Examples:
    pixels, target = pictures(count, seed)
    return Examples({"pixels": pixels}, target if link == "softmax" else np.stack([1 - target, target], 1).astype(np.float32), **more)


def learnt(folder: Path, train: Examples, validation: Examples, link: Link = "softmax") -> PixelLinear:
    learner = PixelLinear.create(Options(), {"logits": Spec(2, link)})
    learner.fit(train, validation, Fitting(1, Silent(), folder, folder))
    return learner


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_it_learns_what_a_picture_shows(tmp_path: Path, link: Link) -> None:
    learner = learnt(tmp_path, examples(80, 1, link), examples(40, 2, link), link)
    held, target = pictures(60, 3)
    assert (np.asarray(learner.run({"pixels": held})["logits"]).argmax(1) == target).mean() > 0.9


def test_it_learns_shares_and_without_validation_rows(tmp_path: Path) -> None:
    pixels, target = pictures(60, 1)
    shares = np.eye(2, dtype=np.float32)[target] * 0.8 + 0.1
    learner = learnt(tmp_path, Examples({"pixels": pixels}, shares), Examples({"pixels": pixels[:0]}, target[:0]))
    held, truth = pictures(60, 3)
    assert (np.asarray(learner.run({"pixels": held})["logits"]).argmax(1) == truth).mean() > 0.9


def test_rows_that_count_for_nothing_teach_nothing(tmp_path: Path) -> None:
    pixels, target = pictures(80, 1)
    wrong = np.arange(80) >= 40
    weight = np.where(wrong, 0.0, 2.0).astype(np.float32)
    learner = learnt(tmp_path, Examples({"pixels": pixels}, np.where(wrong, 1 - target, target), weight), examples(0, 2))
    held, truth = pictures(60, 3)
    assert (np.asarray(learner.run({"pixels": held})["logits"]).argmax(1) == truth).mean() > 0.9


def test_the_same_rows_give_the_same_bytes_and_what_is_exported_answers_alike(tmp_path: Path) -> None:
    for name in ("once", "again"):
        learner = learnt(tmp_path, examples(40, 1), examples(20, 2))
        learner.save(tmp_path / name)
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("once", "again")]
    assert files[0] == files[1]
    opened = PixelLinear.open(tmp_path / "once")
    engine = plugins.load("engines", opened.export(tmp_path / "engine")).open(tmp_path / "engine")
    held, _ = pictures(10, 3)
    assert np.array_equal(engine.run({"pixels": held})["logits"], learner.run({"pixels": held})["logits"])


def test_a_plan_says_what_it_costs_and_more_rows_cost_more() -> None:
    few, many = (PixelLinear.plan(Options(), [], ["image"], {"logits": Spec(2, "softmax")}, Machine.here(), n) for n in (100, 100_000))
    assert few.seconds < many.seconds
    assert few.disk_bytes < many.disk_bytes


def test_two_outputs_and_a_missing_pillow_are_refused_before_anything_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Spec(2, "softmax")
    with pytest.raises(PlanError, match="Leave the tier out"):
        PixelLinear.plan(Options(), [], ["image"], {"a": spec, "b": spec}, Machine.here(), 10)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingLibrary, match=r"penjing\[images\]"):
        PixelLinear.plan(Options(), [], ["image"], {"a": spec}, Machine.here(), 10)


def encoded(tmp_path: Path, **options: Any) -> NDArray:
    """Return the pixels of a wide picture that is red on the left, as a tier with `options` reads it."""
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, :32] = (255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "wide.png")
    processor = plugins.load("processors", PixelLinear.processor)
    made = processor(**processor.options_from([], ["image"], Options(**options).resolved()))
    return np.asarray(made.encode([{"image": tmp_path / "wide.png"}])["pixels"])


@pytest.mark.changes("learners.pixel-linear.size")
def test_the_size_decides_how_many_pixels_are_read(tmp_path: Path) -> None:
    assert encoded(tmp_path).shape == (1, 32, 32, 3)
    assert encoded(tmp_path, size=64).shape == (1, 64, 64, 3)


@pytest.mark.changes("learners.pixel-linear.fit")
def test_the_fit_decides_whether_the_edges_of_a_wide_picture_are_seen(tmp_path: Path) -> None:
    assert encoded(tmp_path, fit="crop")[..., 0].max() < 128
    assert encoded(tmp_path, fit="stretch")[0, 16, 2, 0] > 200
    assert encoded(tmp_path, fit="pad")[0, 16, 2, 0] > 200
    assert encoded(tmp_path, fit="pad")[0, 2, 2, 0] == 0
