"""What a frozen encoder makes of texts, computed once: blocks of rows in files named by their content.

A killed run goes on from the blocks it has, and the next tier over the same encoder finds them all.

Shapes: N rows, H hidden units.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from penjing.core.batching import run_in_rectangles
from penjing.core.files import written
from penjing.core.types import NDArray, Ragged
from penjing.training.encoder import Encoder
from penjing.training.precision import products

_BLOCK = 512
"""Rows a file: some ten seconds of work with a small encoder, and enough to sort by length with little padding."""


def features(encoder: Encoder, ids: Ragged, precision: str, model: str, cache: Path, advance: Callable[[float], None]) -> NDArray:
    """Return (N, H) float32 pooled outputs of the encoder as it stands.

    model: a digest of the encoder's weights; precision: "f32" or "bf16"; advance: told of rows as they are done.
    """
    cache.mkdir(parents=True, exist_ok=True)
    blocks = [np.zeros((0, encoder.head.in_features), np.float32)]
    for start in range(0, len(ids), _BLOCK):
        block = ids.take(np.arange(start, min(start + _BLOCK, len(ids))))
        path = cache / f"features-{_name(block, precision, model)}.npy"
        if not path.exists():
            with written(path) as partial, partial.open("wb") as file:
                np.save(file, _computed(encoder, block, precision))
        blocks.append(np.load(path, allow_pickle=False))
        advance(len(block))
    return np.concatenate(blocks)


def _computed(encoder: Encoder, ids: Ragged, precision: str) -> NDArray:
    def pooled(ids_BT: NDArray, mask_BT: NDArray) -> NDArray:
        with torch.inference_mode(), products(precision):
            result: NDArray = encoder.pooled(torch.from_numpy(ids_BT), torch.from_numpy(mask_BT)).numpy()
        return result

    return run_in_rectangles(ids, encoder.head.in_features, encoder.pad, pooled)


def _name(ids: Ragged, precision: str, model: str) -> str:
    name = hashlib.sha256(f"{model} {precision} {torch.__version__}".encode())
    name.update(np.ascontiguousarray(ids.lengths).tobytes())
    name.update(np.ascontiguousarray(ids.values).tobytes())
    return name.hexdigest()[:32]
