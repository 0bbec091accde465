"""What nets over pictures share: normalising as their first step, pooling, a linear head, and the reading of many pictures once.

Knows no plugin, no rows and no export. Pixels come as the processor makes them; scaling them is a step of the net, and so of what is served.

Shapes: B pictures of a batch, N of all, S pixels a side, C channels, H numbers of a picture (its features), W width of the output.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from penjing.core.files import written
from penjing.core.types import NDArray
from penjing.training.devices import sent, where
from penjing.training.nets.net import Net
from penjing.training.precision import products

PIXELS = "pixels"
_BLOCK = 256
"""Pictures a file of features: some seconds of work."""
_AT_ONCE = 32


class Vision(Net):
    """pixels (B, S, S, 3) uint8 → logits (B, W), over `body`'s steps, of which the last gives the features (B, H)."""

    def __init__(self, hidden: int, width: int, mean: Sequence[float], std: Sequence[float], **config: Any) -> None:
        """mean, std: of the three channels, of pixels between 0 and 1."""
        super().__init__(width=width, mean=list(mean), std=list(std), **config)
        scale, shift = 1 / (255 * np.asarray(std)), -np.asarray(mean) / np.asarray(std)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        self.head = nn.Linear(hidden, width)

    def body(self, normal_BCSS: Any) -> Iterator[tuple[str, Any]]:
        """Yield the steps from normalised pixels (B, 3, S, S) to the features (B, H), the last of which is called "pooled"."""
        raise NotImplementedError

    def steps(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        normal_BCSS = batch[PIXELS].permute(0, 3, 1, 2).to(torch.float32) * self.scale + self.shift
        yield "normalised", normal_BCSS
        for name, values in self.body(normal_BCSS):
            yield name, values
        yield "head", self.head(values)

    def pooled(self, pixels_BSSC: Any) -> Any:
        """Return the features (B, H)."""
        return next(values for name, values in self.steps({PIXELS: pixels_BSSC}) if name == "pooled")

    def set_head(self, weight_WH: NDArray, bias_W: NDArray) -> None:
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(np.asarray(weight_WH, np.float32)))
            self.head.bias.copy_(torch.from_numpy(np.asarray(bias_W, np.float32)))

    def scale_output(self, factor: float) -> None:
        with torch.no_grad():
            self.head.weight.mul_(factor)
            self.head.bias.mul_(factor)


def features(net: Vision, pixels_NSSC: NDArray, precision: str, model: str, cache: Path, advance: Callable[[float], None]) -> NDArray:
    """Return (N, H) float32: what `net` makes of each picture, computed once, in blocks of pictures in files named by their content.

    model: a digest of the net's weights; precision: "f32" or "bf16"; advance: told of pictures as they are done.
    """
    cache.mkdir(parents=True, exist_ok=True)
    net.eval()
    blocks = [np.zeros((0, net.head.in_features), np.float32)]
    for start in range(0, len(pixels_NSSC), _BLOCK):
        block = np.ascontiguousarray(pixels_NSSC[start : start + _BLOCK])
        path = cache / f"features-{_name(block, precision, model)}.npy"
        if not path.exists():
            with written(path) as partial, partial.open("wb") as file:
                np.save(file, _computed(net, block, precision))
        blocks.append(np.load(path, allow_pickle=False))
        advance(len(block))
    return np.concatenate(blocks)


def _computed(net: Vision, pixels_NSSC: NDArray, precision: str) -> NDArray:
    found = []
    for start in range(0, len(pixels_NSSC), _AT_ONCE):
        with torch.inference_mode(), products(precision):
            found.append(net.pooled(sent(np.array(pixels_NSSC[start : start + _AT_ONCE]), where(net))).float().cpu().numpy())
    return np.concatenate(found)


def _name(pixels_NSSC: NDArray, precision: str, model: str) -> str:
    name = hashlib.sha256(f"{model} {precision} {torch.__version__} {pixels_NSSC.shape}".encode())
    name.update(pixels_NSSC.tobytes())
    return name.hexdigest()[:32]
