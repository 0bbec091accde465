"""Changes training images by chance: moves, flips, turns, scales, colours, blurs, noises, and mixes them with each other. Knows no files and no rows.

What happens to an image is a function of (seed, epoch, number of its row), whatever images stand beside it; only whom it is mixed with is chosen
among those. So a run that is interrupted and gone on with sees the same images.

Shapes: B images of a batch, S their side, K numbers drawn for each, W classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import betaincinv
from torch.nn import functional

from penjing.core.types import Batch, NDArray
from penjing.training.nets.augment_options import AugmentConfig

_DRAWN = (
    "flip",
    "down",
    "right",
    "scale",
    "rotate",
    "brightness",
    "contrast",
    "saturation",
    "blur",
    "noise",
    "partner",
    "which",
    "share",
    "top",
    "left",
)
"""What a number is drawn for, each at its own place: switching one off changes no other."""
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""How bright red, green and blue look (ITU-R BT.601)."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The changes that `config` asks for, as a call of `training.nets.net.Augment`."""

    config: AugmentConfig
    seed: int

    def __call__(self, inputs: Batch, target: NDArray, numbers: NDArray, epoch: int) -> tuple[Batch, NDArray]:
        """Return the inputs with their "pixels", (B, S, S, 3) uint8, changed, and the target (B, W) float32 mixed as they are.

        numbers: (B,) numbers of the rows among the training rows.
        """
        drawn = _drawn(self.seed, epoch, numbers)
        images = torch.from_numpy(np.asarray(inputs["pixels"]).astype(np.float32)).permute(0, 3, 1, 2).contiguous()
        images = _noised(_blurred(_coloured(_moved(images, drawn, self.config), drawn, self.config), drawn, self.config), drawn, self)
        images, target = _mixed(images, target, drawn, self.config)
        changed = images.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return {**inputs, "pixels": changed}, target


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The chances of each image of a batch."""

    numbers: NDArray
    """(B, K) from 0 to 1."""
    keys: list[list[int]]
    """What each image's further numbers are drawn by."""

    def __getitem__(self, what: str) -> NDArray:
        """Return (B,) from 0 to 1."""
        column: NDArray = self.numbers[:, _DRAWN.index(what)]
        return column

    def both(self, what: str) -> NDArray:
        """Return (B,) from -1 to 1."""
        return 2 * self[what] - 1


def _drawn(seed: int, epoch: int, numbers: NDArray) -> _Drawn:
    keys = [[seed, epoch, int(number)] for number in numbers]
    numbers = np.array([np.random.default_rng(key).random(len(_DRAWN)) for key in keys]).reshape(-1, len(_DRAWN))
    return _Drawn(numbers, keys)


def _moved(images: Any, drawn: _Drawn, config: AugmentConfig) -> Any:
    """Return the images flipped, moved by whole pixels, scaled and turned about their middle, in one step."""
    if not (config.flip or config.crop or config.scale or config.rotate):
        return images
    size = images.shape[-1]
    flip = np.where(config.flip & (drawn["flip"] < 0.5), -1.0, 1.0)
    factor = (1 + config.scale) ** -drawn.both("scale")
    angle = np.radians(config.rotate) * drawn.both("rotate")
    # Coordinates from -1 to 1 across the image; a pixel is 2 / S wide. Whole pixels, so that moving alone blurs nothing.
    right, down = (np.rint(config.crop * size * drawn.both(way)) * 2 / size for way in ("right", "down"))
    along = (np.arange(size) * 2 + 1) / size - 1
    x, y = along[None, None, :] + right[:, None, None], along[None, :, None] + down[:, None, None]
    cos, sin = (factor * np.cos(angle))[:, None, None], (factor * np.sin(angle))[:, None, None]
    grid = np.stack([flip[:, None, None] * (cos * x - sin * y), sin * x + cos * y], axis=-1).astype(np.float32)
    return functional.grid_sample(images, torch.from_numpy(grid), mode="bilinear", padding_mode="reflection", align_corners=False)


def _coloured(images: Any, drawn: _Drawn, config: AugmentConfig) -> Any:
    if config.brightness:
        images = (images * _factors(1 + config.brightness * drawn.both("brightness"))).clamp(0, 255)
    if config.contrast:
        middle = _grey(images).mean(dim=(2, 3), keepdim=True)
        images = ((images - middle) * _factors(1 + config.contrast * drawn.both("contrast")) + middle).clamp(0, 255)
    if config.saturation:
        grey = _grey(images)
        images = ((images - grey) * _factors(1 + config.saturation * drawn.both("saturation")) + grey).clamp(0, 255)
    return images


def _grey(images: Any) -> Any:
    """Return (B, 1, S, S)."""
    return (images * torch.from_numpy(_GREY).reshape(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def _factors(values: NDArray) -> Any:
    """Return (B,) numbers in a shape that multiplies images."""
    return torch.from_numpy(values.astype(np.float32)).reshape(-1, 1, 1, 1)


def _blurred(images: Any, drawn: _Drawn, config: AugmentConfig) -> Any:
    """Return the images under a Gaussian of each one's own width, cut off at two and a half of the widest, first down and then across."""
    if not config.blur:
        return images
    reach = min(math.ceil(2.5 * config.blur), images.shape[-1] - 1)
    away = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (away / np.maximum(config.blur * drawn["blur"], 1e-3)[:, None]) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    size = images.shape[-1]
    for down in (True, False):
        wide = functional.pad(images, (0, 0, reach, reach) if down else (reach, reach, 0, 0), mode="reflect")
        parts = (wide[:, :, i : i + size] if down else wide[:, :, :, i : i + size] for i in range(len(away)))
        images = sum(part * _factors(weights[:, i]) for i, part in enumerate(parts))
    return images


def _noised(images: Any, drawn: _Drawn, augmentation: Augmentation) -> Any:
    if not augmentation.config.noise:
        return images
    # A fourth number keeps these apart from what was drawn before.
    noise = np.stack([np.random.default_rng([*key, 1]).standard_normal(images.shape[1:], np.float32) for key in drawn.keys])
    return images + torch.from_numpy(noise) * _factors(255 * augmentation.config.noise * drawn["noise"])


def _mixed(images: Any, target: NDArray, drawn: _Drawn, config: AugmentConfig) -> tuple[Any, NDArray]:
    """Return the images and answers, each mixed with those of a partner from the batch (Zhang et al. 2018; Yun et al. 2019, section 3.1)."""
    if not (config.mixup or config.cutmix) or not len(target):
        return images, target
    count, size = len(target), images.shape[-1]
    cut = (drawn["which"] < 0.5) & (config.mixup > 0) | (config.mixup == 0) if config.cutmix else np.zeros(count, bool)
    alpha = np.where(cut, config.cutmix, config.mixup)
    own = betaincinv(alpha, alpha, drawn["share"])
    inside = _rectangles(np.sqrt(1 - own), drawn, size)
    share_B11 = np.where(cut, 1 - inside.mean(axis=(1, 2)), own)[:, None, None]
    own_BSS = np.where(cut[:, None, None], ~inside, share_B11).astype(np.float32)
    partner = np.minimum((drawn["partner"] * count).astype(int), count - 1)
    weight = torch.from_numpy(own_BSS)[:, None]
    share_B1 = share_B11[:, :, 0].astype(np.float32)
    return images * weight + images[torch.from_numpy(partner)] * (1 - weight), target * share_B1 + target[partner] * (1 - share_B1)


def _rectangles(sides: NDArray, drawn: _Drawn, size: int) -> NDArray:
    """Return (B, S, S) bool, true inside squares of `sides`, as shares of the whole, whose middle lies anywhere."""
    along = np.arange(size) + 0.5
    rows, columns = (np.abs(along[None, :] - size * drawn[way][:, None]) < size * sides[:, None] / 2 for way in ("top", "left"))
    inside: NDArray = rows[:, :, None] & columns[:, None, :]
    return inside
