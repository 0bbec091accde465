"""What the engine sees of a picture, and that a row's answer is its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from penjing.core.errors import RunFailed
from penjing.core.types import NDArray
from penjing.plugins.engines.pooled_linear import FEATURES, PooledLinear, described

RANDOM = np.random.default_rng(0)
EDGES = 7 * 7 * 32


def engine() -> PooledLinear:
    random = np.random.default_rng(1)
    return PooledLinear(random.normal(size=(FEATURES, 3)).astype(np.float32), random.normal(size=3).astype(np.float32), "logits")


def step(across: bool) -> NDArray:
    """A picture that is dark in one half and bright in the other: (1, 32, 32, 3)."""
    picture = np.zeros((1, 32, 32, 3), np.uint8)
    picture[:, :, 16:] = 200
    return picture if across else picture.swapaxes(1, 2)


def test_colours_are_the_means_of_a_coarse_grid() -> None:
    picture = np.zeros((1, 64, 64, 3), np.uint8)
    picture[0, :8, :8] = (255, 0, 51)  # the first of eight times eight cells
    colours = described(picture)[0, EDGES:].reshape(8, 8, 3)
    assert colours[0, 0] == pytest.approx([1, 0, 0.2])
    assert not colours[1:].any()


def test_a_rise_to_the_right_is_told_from_one_downwards_and_from_a_fall() -> None:
    pictures = step(True), step(False), step(True)[:, :, ::-1]
    right, down, left = (described(picture)[0, :EDGES].reshape(7, 7, 4, 8).sum((0, 1, 2)) for picture in pictures)
    for found, towards in ((right, 0), (down, 2), (left, 4)):  # eighths of a full turn
        assert found[towards] > 1
        assert found[(towards + 4) % 8] < 1e-3


def test_neither_contrast_nor_brightness_changes_the_edges() -> None:
    picture = RANDOM.integers(60, 120, (2, 32, 32, 3)).astype(np.uint8)
    louder = (picture.astype(int) * 2).astype(np.uint8)
    assert np.abs(described(picture)[:, :EDGES] - described(louder)[:, :EDGES]).max() < 0.02
    assert np.abs(described(picture)[:, :EDGES] - described(picture + np.uint8(50))[:, :EDGES]).max() < 1e-5


def test_a_picture_of_one_colour_has_no_edges() -> None:
    assert not described(np.full((1, 32, 32, 3), 77, np.uint8))[:, :EDGES].any()


def test_more_pixels_of_the_same_picture_say_the_same() -> None:
    picture = RANDOM.integers(0, 255, (2, 32, 32, 3)).astype(np.uint8)
    assert np.abs(described(picture) - described(picture.repeat(2, 1).repeat(2, 2))).max() < 1e-4


def test_a_side_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        described(np.zeros((1, 40, 40, 3), np.uint8))


def test_a_row_is_answered_alike_in_any_company() -> None:
    pixels = RANDOM.integers(0, 256, (130, 32, 32, 3)).astype(np.uint8)
    together = np.asarray(engine().run({"pixels": pixels})["logits"])
    alone = np.concatenate([np.asarray(engine().run({"pixels": pixels[i : i + 1]})["logits"]) for i in range(130)])
    assert np.array_equal(together, alone)
    assert engine().run({"pixels": pixels[:0]})["logits"].shape == (0, 3)


def test_what_is_saved_is_opened_and_can_be_looked_into(tmp_path: Path) -> None:
    engine().save(tmp_path)
    pixels = RANDOM.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    opened = PooledLinear.open(tmp_path)
    expected = np.asarray(engine().run({"pixels": pixels})["logits"])
    assert np.array_equal(opened.run({"pixels": pixels})["logits"], expected)
    steps = dict(opened.layers({"pixels": pixels}))
    assert list(steps) == ["features", "weighted sums", "logits"]
    assert np.array_equal(steps["logits"], expected)
    assert opened.work({"pixels": pixels}) == 3 * opened.work({"pixels": pixels[:1]})


@pytest.mark.parametrize("content", [b"", b"nonsense that is no safetensors file"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pooled.safetensors").write_bytes(content)
    with pytest.raises(RunFailed, match="pooled.safetensors is not a linear model"):
        PooledLinear.open(tmp_path)


def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    arrays = {"weights": np.zeros((5, 3), np.float32), "bias": np.zeros(3, np.float32)}
    save_file(arrays, tmp_path / "pooled.safetensors", {"output": "logits"})
    with pytest.raises(RunFailed, match="do not fit together"):
        PooledLinear.open(tmp_path)
