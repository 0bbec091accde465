"""EfficientNet-lite0 in torch: made for small processors, without squeeze-and-excitation, with ReLU6 (Tan and Le 2019; the lite variants, 2020).

Its published weights are a pickle. It is opened only when its SHA-256 is the one known, and by torch's reader of weights alone, which runs no code.

Shapes: B pictures, S pixels a side, C channels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from penjing.core.errors import PlanError
from penjing.training.nets.vision import Vision

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
HIDDEN = 1280
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
"""Blocks, kernel, stride of the first, expansion, channels (Tan and Le 2019, table 1; lite keeps the counts of B0)."""
_STEM = 32
_EPSILON = 1e-3


class EfficientnetLite(Vision):
    def __init__(self, width: int, size: int, **rest: Any) -> None:
        """size: pixels a side, which decides where a stride begins ("same" padding, as the weights were learnt with)."""
        super().__init__(HIDDEN, width, **{"mean": MEAN, "std": STD, **rest}, size=size)
        self.stem = _Convolution(3, _STEM, 3, 2, size)
        size, channels, blocks = _half(size), _STEM, []
        for count, kernel, stride, expansion, out in _STAGES:
            for i in range(count):
                step = stride if i == 0 else 1
                blocks.append(_Block(channels, out, kernel, step, expansion, size))
                size, channels = _half(size) if step == 2 else size, out
        self.blocks = nn.ModuleList(blocks)
        self.top = _Convolution(channels, HIDDEN, 1, 1, size)

    def body(self, normal_BCSS: Any) -> Iterator[tuple[str, Any]]:
        values = functional.relu6(self.stem(normal_BCSS))
        yield "stem", values
        for i, block in enumerate(self.blocks):
            values = block(values)
            yield f"block {i + 1}", values
        yield "pooled", functional.relu6(self.top(values)).mean((2, 3))


def load_published(net: EfficientnetLite, path: Path) -> None:
    """Put the published weights, all but those of the head, into `net`. Raises PlanError where the file is not the one known."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise PlanError(f"{path} is not the file of weights that Penjing knows, and it is a pickle: it is not opened. Install its package again.")
    published = torch.load(BytesIO(content), weights_only=True)
    own = {_renamed(name): tensor for name, tensor in published.items() if not name.endswith("num_batches_tracked") and not name.startswith("_fc.")}
    net.load_state_dict(own | {f"head.{name}": tensor for name, tensor in net.head.state_dict().items()})


class _Norm(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """Batch normalisation by the statistics it came with, which stay: a few rows of the user's would only blur them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, values_BCSS: Any) -> Any:
        return functional.batch_norm(values_BCSS, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, _EPSILON)


class _Convolution(nn.Module):  # type: ignore[misc]
    """A convolution and its norm. A stride pads as TensorFlow does: what is missing, more of it at the end."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, size: int, groups: int = 1) -> None:
        super().__init__()
        missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        self.before, self.after = missing // 2, missing - missing // 2
        even = self.before if self.before == self.after else 0
        self.conv = nn.Conv2d(channels, out, kernel, stride, even, groups=groups, bias=False)
        self.norm = _Norm(out)

    def forward(self, values_BCSS: Any) -> Any:
        if self.before != self.after:
            values_BCSS = functional.pad(values_BCSS, (self.before, self.after, self.before, self.after))
        return self.norm(self.conv(values_BCSS))


class _Block(nn.Module):  # type: ignore[misc]
    """Expand, convolve each channel by itself, project; added to what came in where shapes allow (Sandler et al. 2018, section 3)."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int, size: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.expand = _Convolution(channels, inner, 1, 1, size) if expansion > 1 else None
        self.depthwise = _Convolution(inner, inner, kernel, stride, size, groups=inner)
        self.project = _Convolution(inner, out, 1, 1, -(-size // stride))
        self.skips = stride == 1 and channels == out

    def forward(self, values_BCSS: Any) -> Any:
        inner = values_BCSS if self.expand is None else functional.relu6(self.expand(values_BCSS))
        out = self.project(functional.relu6(self.depthwise(inner)))
        return out + values_BCSS if self.skips else out


def _half(size: int) -> int:
    return -(-size // 2)


_PARTS = {
    "_conv_stem": "stem.conv",
    "_conv_head": "top.conv",
    "_expand_conv": "expand.conv",
    "_depthwise_conv": "depthwise.conv",
    "_project_conv": "project.conv",
}


def _renamed(name: str) -> str:
    """Return the name that a published weight has here: `_blocks.3._bn1.weight` is `blocks.3.depthwise.norm.weight`."""
    parts = name.split(".")
    if parts[0] != "_blocks":
        part = {"_bn0": "stem.norm", "_bn1": "top.norm"}.get(parts[0]) or _PARTS[parts[0]]
        return f"{part}.{parts[1]}"
    norms = {"_bn0": "expand.norm", "_bn1": "depthwise.norm", "_bn2": "project.norm"}
    return f"blocks.{parts[1]}.{norms.get(parts[2]) or _PARTS[parts[2]]}.{parts[3]}"
