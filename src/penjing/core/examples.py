"""Encoded rows on disk: named arrays that are memory-mapped, so that learning needs no more memory than a batch.

Layout of a folder: `NAME.npy` for a rectangular array; `NAME.values.npy` and `NAME.offsets.npy` for a ragged one; `target.npy`; `done`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penjing.core.types import Batch, NDArray, Ragged, concatenate, take


@dataclass(frozen=True, slots=True)
class Examples:
    """N encoded rows with what is to be learnt from them."""

    inputs: Batch
    target: NDArray
    """(N,) int64 for softmax, or (N, width) float32 shares of the classes for a pupil; (N, width) float32 for sigmoid and identity."""

    def __len__(self) -> int:
        return len(self.target)

    def batch(self, indices: NDArray) -> tuple[Batch, NDArray]:
        """Return inputs and target of the examples at `indices`, in that order."""
        return take(self.inputs, indices), self.target[indices]

    @classmethod
    def write(cls, folder: Path, batches: Iterable[tuple[Batch, NDArray]]) -> Examples:
        """Write encoded batches into `folder` (made when needed) and open it."""
        folder.mkdir(parents=True, exist_ok=True)
        parts, targets = [], []
        for batch, target in batches:
            parts.append(batch)
            targets.append(target)
        for name, array in concatenate(parts).items():
            if isinstance(array, Ragged):
                np.save(folder / f"{name}.values.npy", array.values)
                np.save(folder / f"{name}.offsets.npy", array.offsets)
            else:
                np.save(folder / f"{name}.npy", array)
        np.save(folder / "target.npy", np.concatenate(targets))
        (folder / "done").touch()
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Examples:
        """Map the arrays of `folder` into memory, read-only."""
        inputs: Batch = {}
        for path in sorted(folder.glob("*.npy")):
            name, _, part = path.name.removesuffix(".npy").partition(".")
            if part == "values":
                inputs[name] = Ragged(_map(path), _map(folder / f"{name}.offsets.npy"))
            elif not part and name != "target":
                inputs[name] = _map(path)
        return cls(inputs, _map(folder / "target.npy"))

    @classmethod
    def exists(cls, folder: Path) -> bool:
        return (folder / "done").exists()


def _map(path: Path) -> NDArray:
    try:
        mapped: NDArray = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:  # an array without values cannot be mapped
        mapped = np.load(path, allow_pickle=False)
    return mapped
