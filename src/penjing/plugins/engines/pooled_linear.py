"""A linear model on pooled pixels and the directions of edges, in numpy. Knows nothing of what a picture or an answer means.

A picture is averaged down to a small square. Of it the model sees the mean colours of a coarse grid, and histograms of oriented gradients
(Dalal and Triggs 2005): for each cell how strongly brightness rises in each of several directions, four neighbouring cells brought to one
length together, so that neither lighting nor contrast counts. A gradient is shared out to directions by its cosine with them, which needs
no angles. A row's answer does not depend on the rows beside it.

Layout of a folder: `pooled.safetensors` with weights (F, C) and bias (C,) float32 and, as metadata, the output's name.

Shapes: B pictures, S pixels a side as they come, G of the small square, K cells a side, D directions, F features, C numbers a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from penjing.core.errors import RunFailed
from penjing.core.files import written
from penjing.core.types import Batch, NDArray

SIDE = 32
"""G: pictures are averaged down to this, so that weights fit any of its multiples."""
DIRECTIONS = 8
_CELL = 4
_COLOURS = 8
"""Cells a side of the grid of mean colours."""
_LOUDEST = np.float32(0.2)
"""At most so much of a block's length is one number's (Dalal and Triggs 2005, section 6.4)."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32) / 255
_AT_ONCE = 64
"""Pictures at once: what lies between two steps stays in the cache."""
_FILE = "pooled.safetensors"
_BLOCKS = (SIDE // _CELL - 1) ** 2
FEATURES = _BLOCKS * 4 * DIRECTIONS + 3 * _COLOURS**2


@dataclass(frozen=True)
class PooledLinear:
    """{"pixels": (B, S, S, 3) uint8} → {output: (B, C) float32}."""

    weights: NDArray
    """(F, C) float32."""
    bias: NDArray
    """(C,) float32."""
    output: str
    features: ClassVar[int] = FEATURES

    @classmethod
    def open(cls, folder: Path) -> PooledLinear:
        """Raises RunFailed where `folder` holds no such model."""
        path = folder / _FILE
        try:
            with safe_open(path, "np") as file:
                model = cls(file.get_tensor("weights"), file.get_tensor("bias"), (file.metadata() or {})["output"])
        except (OSError, KeyError, SafetensorError) as error:
            raise RunFailed(f"{path} is not a linear model on pooled pixels: {error}. Export the tier again.") from error
        if model.weights.shape != (FEATURES, *model.bias.shape):
            raise RunFailed(f"{path} is not a linear model on pooled pixels: its arrays do not fit together. Export the tier again.")
        return model

    def save(self, folder: Path) -> None:
        """Write what `open` reads."""
        arrays = {"weights": np.ascontiguousarray(self.weights), "bias": np.ascontiguousarray(self.bias)}
        with written(folder / _FILE) as partial:
            save_file(arrays, partial, metadata={"output": self.output})
            partial.chmod(0o644)  # safetensors writes for the owner alone, and a package is read by others

    def run(self, batch: Batch) -> Batch:
        return {self.output: self._weighed(self.rows(batch)) + self.bias}

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield the features (B, F), their weighted sums (B, C), and these with the bias (B, C)."""
        rows_BF = self.rows(batch)
        yield "features", rows_BF
        yield "weighted sums", self._weighed(rows_BF)
        yield self.output, self._weighed(rows_BF) + self.bias

    def work(self, batch: Batch) -> float:
        pixels = cast(NDArray, batch["pixels"])
        return float(pixels.size + len(pixels) * (SIDE * SIDE * DIRECTIONS * 3 + FEATURES * (3 + len(self.bias))))

    def rows(self, batch: Batch) -> NDArray:
        """Return the pictures of `batch` as the model sees them: (B, F) float32."""
        pixels_BSSC = cast(NDArray, batch["pixels"])
        out_BF = np.empty((len(pixels_BSSC), FEATURES), np.float32)
        for start in range(0, len(out_BF), _AT_ONCE):
            out_BF[start : start + _AT_ONCE] = described(np.asarray(pixels_BSSC[start : start + _AT_ONCE]))
        return out_BF

    def _weighed(self, rows_BF: NDArray) -> NDArray:
        # A row at a time: a product of matrices adds up in another order for another number of rows.
        return np.stack([row_F @ self.weights for row_F in rows_BF]) if len(rows_BF) else np.zeros((0, len(self.bias)), np.float32)


def described(pixels_BSSC: NDArray) -> NDArray:
    """Return (B, F) float32. Raises ValueError where the pixels a side are no multiple of 32."""
    if pixels_BSSC.shape[1] % SIDE:
        raise ValueError(f"Expected pictures of a multiple of {SIDE} pixels a side, found {pixels_BSSC.shape[1]}.")
    small_BGGC = _averaged(pixels_BSSC, SIDE)
    colours_BF = _averaged(small_BGGC, _COLOURS).reshape(len(small_BGGC), -1) / np.float32(255)
    return np.concatenate([_edges(small_BGGC @ _LUMA), colours_BF], axis=1)


def _edges(light_BGG: NDArray) -> NDArray:
    """Return (B, blocks * 4D) float32, the normalised histograms."""
    across, down = np.zeros_like(light_BGG), np.zeros_like(light_BGG)
    across[:, :, 1:-1] = light_BGG[:, :, 2:] - light_BGG[:, :, :-2]
    down[:, 1:-1] = light_BGG[:, 2:] - light_BGG[:, :-2]
    angles = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
    towards = [np.maximum(across * np.float32(np.cos(a)) + down * np.float32(np.sin(a)), 0) for a in angles]
    cells_BKKD = np.stack([_averaged(each, SIDE // _CELL) for each in towards], axis=-1)
    corners = (cells_BKKD[:, :-1, :-1], cells_BKKD[:, 1:, :-1], cells_BKKD[:, :-1, 1:], cells_BKKD[:, 1:, 1:])
    blocks = np.concatenate(corners, axis=-1)
    blocks = np.minimum(blocks / _length(blocks, 1e-4), _LOUDEST)
    blocks /= _length(blocks, 1e-6)
    return blocks.reshape(len(blocks), -1)


def _length(blocks: NDArray, least: float) -> NDArray:
    lengths: NDArray = np.sqrt((blocks * blocks).sum(-1, keepdims=True) + np.float32(least))
    return lengths


def _averaged(values: NDArray, side: int) -> NDArray:
    """Return (B, side, side, …) float32, the means over equal squares of (B, S, S, …)."""
    each = values.shape[1] // side
    averaged: NDArray = values.reshape(len(values), side, each, side, each, *values.shape[3:]).mean((2, 4), dtype=np.float32)
    return averaged
