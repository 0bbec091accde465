"""A small convolutional net for pictures, learnt from nothing. GroupNorm, so that no row's answer or gradient depends on the rows beside it.

Residual stages, each of half the side and twice the channels of the one before (He et al. 2016, section 3.3; Wu and He 2018).

Shapes: B pictures, S pixels a side, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from penjing.training.nets.vision import Vision

_GROUP = 8
"""Channels that are normalised together."""


class Convolutions(Vision):
    def __init__(self, width: int, channels: int, stages: int, mean: tuple[float, ...] = (0.5,) * 3, std: tuple[float, ...] = (0.25,) * 3) -> None:
        """width: of the output; channels: of the first stage, a multiple of 8."""
        super().__init__(channels << (stages - 1), width, mean, std, channels=channels, stages=stages)
        self.stem = _Convolution(3, channels, 1)
        widths = [channels << i for i in range(stages)]
        self.stages = nn.ModuleList(_Stage(before, after) for before, after in zip([channels, *widths], widths, strict=False))
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.zero_()

    def body(self, normal_BCSS: Any) -> Iterator[tuple[str, Any]]:
        values = functional.relu(self.stem(normal_BCSS))
        yield "stem", values
        for i, stage in enumerate(self.stages):
            values = stage(values)
            yield f"stage {i + 1}", values
        yield "pooled", values.mean((2, 3))


class _Convolution(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.norm = nn.GroupNorm(out // _GROUP, out)

    def forward(self, values_BCSS: Any) -> Any:
        return self.norm(self.conv(values_BCSS))


class _Stage(nn.Module):  # type: ignore[misc]
    """To half the side, and then a residual block, which begins as nothing (Goyal et al. 2017, section 5.1)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.down, self.first, self.second = _Convolution(channels, out, 2), _Convolution(out, out, 1), _Convolution(out, out, 1)
        nn.init.zeros_(self.second.norm.weight)

    def forward(self, values_BCSS: Any) -> Any:
        values_BCSS = functional.relu(self.down(values_BCSS))
        return functional.relu(values_BCSS + self.second(functional.relu(self.first(values_BCSS))))
