"""A Hugging Face folder becomes a net by its own config and weights, and what is not in it is not made up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from penjing.core.errors import PlanError, RunFailed
from penjing.training.nets.hub_vision import HubVision, pretrained

MIDDLE: dict[str, Any] = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
PIXELS = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def opened(folder: Path) -> HubVision:
    return pretrained(folder, json.loads((folder / "config.json").read_text()), 3, 32, **MIDDLE)


def without(folder: Path, tmp_path: Path, part: str) -> Path:
    """A copy whose weights lack those whose names contain `part`."""
    shutil.copytree(folder, tmp_path / "less")
    held = {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if part not in name}
    save_file(held, tmp_path / "less" / "model.safetensors", {"format": "pt"})
    return tmp_path / "less"


def test_its_own_pooled_output_is_read(tiny_vision: Path) -> None:
    from transformers import ViTModel

    model = ViTModel.from_pretrained(tiny_vision).eval()
    with torch.inference_mode():
        expected = model(pixel_values=PIXELS.permute(0, 3, 1, 2) / 127.5 - 1).pooler_output
        assert torch.allclose(opened(tiny_vision).pooled(PIXELS), expected, atol=1e-4)


def test_without_weights_of_a_pooler_the_mean_over_places_is_read_and_nothing_is_made_up(tiny_vision: Path, tmp_path: Path) -> None:
    folder = without(tiny_vision, tmp_path, "pooler")
    once, again = opened(folder), opened(folder)
    assert not [name for name in once.state_dict() if "pooler" in name]
    with torch.inference_mode():
        assert torch.equal(once.pooled(PIXELS), again.pooled(PIXELS))
        rebuilt = HubVision(**once.config)
        rebuilt.load_state_dict(once.state_dict())
        assert torch.equal(rebuilt.eval().pooled(PIXELS), once.pooled(PIXELS))


def test_other_weights_that_lack_are_named(tiny_vision: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"lack '.*layers\.1.*Fetch the model's folder again"):
        opened(without(tiny_vision, tmp_path, "layer.1."))


def test_an_unknown_family_is_refused(tiny_vision: Path) -> None:
    with pytest.raises(PlanError, match="does not know the family 'no-such'"):
        pretrained(tiny_vision, {"model_type": "no-such"}, 3, 32, **MIDDLE)


def test_learning_leaves_dropout_off_and_norms_as_they_came() -> None:
    config = {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
    net = HubVision(3, 32, config, True, **MIDDLE).train()
    assert net.training
    assert not any(module.training for module in net.model.modules())
    assert net({"pixels": PIXELS}).shape == (2, 3)
