"""Normalising is the first step of a net over pictures, and what is read once is kept by its content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from penjing.training.nets.convolutions import Convolutions
from penjing.training.nets.vision import features

PIXELS = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3)).astype(np.uint8)


def net(seed: int = 0) -> Convolutions:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Convolutions(3, 8, 1, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.2)).eval()


def test_pixels_are_normalised_channel_by_channel() -> None:
    name, values = next(net().steps({"pixels": torch.from_numpy(PIXELS[:2])}))
    expected = (PIXELS[:2] / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.25, 0.2]
    assert name == "normalised"
    assert values.shape == (2, 3, 8, 8)
    assert np.abs(values.numpy() - expected.transpose(0, 3, 1, 2)).max() < 1e-5


def test_features_are_what_the_head_reads_and_are_computed_once(tmp_path: Path) -> None:
    done: list[float] = []
    found = features(net(), PIXELS, "f32", "a", tmp_path, done.append)
    with torch.inference_mode():
        assert np.abs(found - net().pooled(torch.from_numpy(PIXELS)).numpy()).max() < 1e-4
    assert (found.shape, sum(done), len(list(tmp_path.iterdir()))) == ((300, 8), 300, 2)
    assert np.array_equal(features(net(1), PIXELS, "f32", "a", tmp_path, done.append), found), "another net under the same name: read from the cache"
    assert not np.array_equal(features(net(1), PIXELS, "f32", "b", tmp_path, done.append), found)
    assert features(net(), PIXELS[:0], "f32", "a", tmp_path, done.append).shape == (0, 8)


def test_the_logits_are_made_quieter_as_asked() -> None:
    quiet = net()
    quiet.set_head(np.ones((3, 8)), np.arange(3))
    with torch.inference_mode():
        before = quiet({"pixels": torch.from_numpy(PIXELS[:4])})
        quiet.scale_output(0.5)
        assert torch.allclose(quiet({"pixels": torch.from_numpy(PIXELS[:4])}), before / 2)


def test_a_row_is_answered_alike_in_any_company() -> None:
    with torch.inference_mode():
        together = net()({"pixels": torch.from_numpy(PIXELS[:9])}).numpy()
        alone = [net()({"pixels": torch.from_numpy(PIXELS[i : i + 1])}).numpy() for i in range(9)]
    assert np.concatenate(alone) == pytest.approx(together, abs=1e-5)
