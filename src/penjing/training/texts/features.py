"""What an encoder makes of texts as it stands, computed once: blocks of rows in files named by their content.

A killed run goes on from the blocks it has, and the next tier over the same encoder finds them all. The states at several depths are
collected in the same reading.

Shapes: N rows, T tokens of all texts of a piece, H hidden units, K depths and the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from penjing.core.files import written
from penjing.core.graphs.batching import filled
from penjing.core.types import NDArray, Ragged
from penjing.core.workers import ALONE, Workers
from penjing.training.batches import pieces
from penjing.training.texts.encoder import Encoder
from penjing.training.texts.packed import Packed, Padded, pooled, reader

_BLOCK = 512
"""Rows a file: some seconds of work with a small encoder."""
TOKENS = 4096
"""Of a piece, where nothing is kept for a way back: enough for products to be quick, few enough to stay in the last cache."""


def features(
    encoder: Encoder,
    ids: Ragged,
    precision: str,
    model: str,
    cache: Path,
    advance: Callable[[float], None],
    depths: Sequence[int] = (),
    workers: Workers = ALONE,
) -> list[NDArray]:
    """Return the means over tokens of the hidden states, (N, H) float32 each: after each of the `depths` (in layers), then at the end.

    model: a digest of the encoder's weights; precision: "f32" or "bf16"; advance: told of rows as they are done. Depths are of bodies that
    can be cut (`segments.check_cuts`).
    """
    cache.mkdir(parents=True, exist_ok=True)
    ids, way = filled(ids, encoder.pad), reader(encoder.body, precision)
    names = [*(f"{model} depth {depth}" for depth in depths), model]
    blocks = [np.zeros((0, len(names), encoder.head.in_features), np.float32)]
    places: dict[int, list[Path]] = {}
    for start in own_first(range(0, len(ids), _BLOCK), workers):
        block = ids.take(np.arange(start, min(start + _BLOCK, len(ids))))
        paths = places[start] = [cache / f"features-{named(block, precision, name)}.npy" for name in names]
        if not all(path.exists() for path in paths):
            for path, found_NH in zip(paths, _computed(way, block, encoder.head.in_features, depths).swapaxes(0, 1), strict=True):
                with written(path) as partial, partial.open("wb") as file:
                    np.save(file, found_NH)
        advance(len(block))
    blocks += [np.stack([np.load(path, allow_pickle=False) for path in paths], axis=1) for _, paths in sorted(places.items())]
    return list(np.concatenate(blocks).swapaxes(0, 1))


def own_first(starts: Sequence[int], workers: Workers) -> list[int]:
    """Return `starts`, beginning with this worker's share: where each passes over what is done, all are done in a share of the time."""
    own = workers.rank * len(starts) // workers.count
    return [*starts[own:], *starts[:own]]


def named(ids: Ragged, precision: str, model: str) -> str:
    """Return a name for what the encoder of the digest `model` makes of `ids`."""
    name = hashlib.sha256(f"{model} {precision} packed {torch.__version__}".encode())
    name.update(np.ascontiguousarray(ids.lengths).tobytes())
    name.update(np.ascontiguousarray(ids.values).tobytes())
    return name.hexdigest()[:32]


def _computed(way: Packed | Padded, ids: Ragged, hidden: int, depths: Sequence[int]) -> NDArray:
    """Return (N, K, H) float32."""
    found_NKH = np.empty((len(ids), len(depths) + 1, hidden), np.float32)
    for rows in pieces(ids.lengths, TOKENS):
        piece = ids.take(rows)
        with torch.inference_mode():
            for k, state_TH in enumerate(way.at_depths(piece, depths)):
                found_NKH[rows, k] = pooled(state_TH, piece.lengths).cpu().numpy()
    return found_NKH
