"""What an encoder makes of texts as it stands, computed once: blocks of rows in files named by their content.

A killed run goes on from the blocks it has, and the next tier over the same encoder finds them all. The states at several depths are
collected in the same reading.

Shapes: N rows, T tokens, H hidden units, K depths and the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from penjing.core.batching import run_in_rectangles
from penjing.core.files import written
from penjing.core.types import NDArray, Ragged
from penjing.training.encoder import Encoder
from penjing.training.precision import products
from penjing.training.segments import Part, pooled

_BLOCK = 512
"""Rows a file: some ten seconds of work with a small encoder, and enough to sort by length with little padding."""


def features(
    encoder: Encoder, ids: Ragged, precision: str, model: str, cache: Path, advance: Callable[[float], None], depths: Sequence[int] = ()
) -> list[NDArray]:
    """Return the means over tokens of the hidden states, (N, H) float32 each: after each of the `depths` (in layers), then at the end.

    model: a digest of the encoder's weights; precision: "f32" or "bf16"; advance: told of rows as they are done.
    """
    cache.mkdir(parents=True, exist_ok=True)
    names = [*(f"{model} depth {depth}" for depth in depths), model]
    blocks = [np.zeros((0, len(names), encoder.head.in_features), np.float32)]
    for start in range(0, len(ids), _BLOCK):
        block = ids.take(np.arange(start, min(start + _BLOCK, len(ids))))
        paths = [cache / f"features-{_name(block, precision, name)}.npy" for name in names]
        if not all(path.exists() for path in paths):
            for path, found_NH in zip(paths, _computed(encoder, block, precision, depths).swapaxes(0, 1), strict=True):
                with written(path) as partial, partial.open("wb") as file:
                    np.save(file, found_NH)
        blocks.append(np.stack([np.load(path, allow_pickle=False) for path in paths], axis=1))
        advance(len(block))
    return list(np.concatenate(blocks).swapaxes(0, 1))


def _computed(encoder: Encoder, ids: Ragged, precision: str, depths: Sequence[int]) -> NDArray:
    """Return (N, K, H) float32."""

    def means(ids_NT: NDArray, mask_NT: NDArray) -> NDArray:
        with torch.inference_mode(), products(precision):
            found = _at_depths(encoder, torch.from_numpy(ids_NT), torch.from_numpy(mask_NT), depths)
            result: NDArray = torch.cat(found, dim=1).numpy()
        return result

    hidden = encoder.head.in_features
    return run_in_rectangles(ids, (len(depths) + 1) * hidden, encoder.pad, means).reshape(len(ids), -1, hidden)


def _at_depths(encoder: Encoder, ids_NT: Any, mask_NT: Any, depths: Sequence[int]) -> list[Any]:
    if not depths:
        return [encoder.pooled(ids_NT, mask_NT)]
    layers = len(encoder.body.encoder.layer)
    states = Part(encoder.body, 0, layers, None).hidden(ids_NT, mask_NT)
    return [pooled(state, mask_NT) for depth, state in enumerate(states) if depth in (*depths, layers)]


def _name(ids: Ragged, precision: str, model: str) -> str:
    name = hashlib.sha256(f"{model} {precision} {torch.__version__}".encode())
    name.update(np.ascontiguousarray(ids.lengths).tobytes())
    name.update(np.ascontiguousarray(ids.values).tobytes())
    return name.hexdigest()[:32]
