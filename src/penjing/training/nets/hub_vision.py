"""Any Hugging Face model that reads pictures (ViT, ResNet, ConvNeXt, Swin, …), with a linear head. Runs no code of a folder and reads no pickle.

It stays in eval mode while it learns: no dropout, and the statistics of its norms as they came.

Shapes: B pictures, S pixels a side, H hidden units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import torch
import transformers

from penjing.core.errors import PlanError, RunFailed
from penjing.training.nets.vision import Vision
from penjing.training.quiet import quiet

_HOW = {"attn_implementation": "eager", "dtype": torch.float32}


class HubVision(Vision):
    def __init__(self, width: int, size: int, model: Mapping[str, Any], pooler: bool, made: Any = None, **rest: Any) -> None:
        """size: S; model: its config.json; pooler: whether its own pooled output is read, or the mean over all places.

        made: the model, where it is there; otherwise one that has learnt nothing is made.
        """
        with quiet():
            made = (made or transformers.AutoModel.from_config(_config(model), **_HOW)).eval()
        if not pooler and getattr(made, "pooler", None) is not None:
            made.pooler = None
        with torch.inference_mode():
            hidden = _pooled(made(pixel_values=torch.zeros(1, 3, size, size)), pooler).shape[1]
        super().__init__(hidden, width, **rest, size=size, model=dict(model), pooler=pooler)
        self.model, self.pooler = made, pooler

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.model.eval()
        return self

    def body(self, normal_BCSS: Any) -> Iterator[tuple[str, Any]]:
        yield "pooled", _pooled(self.model(pixel_values=normal_BCSS), self.pooler)


def pretrained(folder: Path, described: Mapping[str, Any], width: int, size: int, **rest: Any) -> HubVision:
    """Return the model in `folder` with a head that has learnt nothing. Raises PlanError for an unknown family, RunFailed for weights that lack.

    described: its config.json; rest: `mean` and `std` of the channels.
    """
    with quiet():
        config = _config(described)
        made, loading = transformers.AutoModel.from_pretrained(
            folder, config=config, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True, **_HOW
        )
        lacking = sorted(loading["missing_keys"])
        if strange := [name for name in lacking if "pooler" not in name]:
            raise RunFailed(f"The weights in {folder} lack {strange[0]!r}, which its config.json asks for. Fetch the model's folder again.")
        with torch.inference_mode():
            found = made.eval()(pixel_values=torch.zeros(1, 3, size, size))
    pooler = not lacking and getattr(found, "pooler_output", None) is not None
    return HubVision(width, size, described, pooler, made, **rest)


def _pooled(found: Any, pooler: bool) -> Any:
    """Return (B, H)."""
    if pooler:
        return found.pooler_output.flatten(1)
    last = found.last_hidden_state
    return last.mean((2, 3)) if last.ndim == 4 else last.mean(1)


def _config(described: Mapping[str, Any]) -> Any:
    family = described.get("model_type")
    try:
        return type(transformers.AutoConfig.for_model(family)).from_dict(dict(described))
    except ValueError as error:
        raise PlanError(f"The installed transformers does not know the family {family!r} of this model. Choose another model.") from error
