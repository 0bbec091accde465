"""Encoded rows on disk: named arrays that are memory-mapped, so that learning needs no more memory than a batch.

Layout of a folder: `NAME.npy` for a rectangular array; `NAME.values.npy` and `NAME.offsets.npy` for a ragged one; `target.npy`; `weight.npy`
where rows are weighted; `done`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from penjing.core.errors import DataError
from penjing.core.types import Batch, NDArray, Ragged, Spec, take

_HEADER_BYTES = 256
"""Room for the header of a .npy file, whose shape is only known at the end."""


@dataclass(frozen=True, slots=True)
class Examples:
    """N encoded rows with what is to be learnt from them."""

    inputs: Batch
    target: NDArray
    """(N,) int64 for softmax, or (N, width) float32 shares of the classes for a pupil; (N, width) float32 for sigmoid and identity."""
    weight: NDArray | None = None
    """(N,) float32, how much each example counts, about 1 on average; None where all count alike."""
    folder: Path | None = None
    """Where they lie, of those that were opened: another process finds them there."""

    def __len__(self) -> int:
        return len(self.target)

    def batch(self, indices: NDArray) -> tuple[Batch, NDArray]:
        """Return inputs and target of the examples at `indices`, in that order."""
        return take(self.inputs, indices), self.target[indices]

    def weights(self, indices: NDArray) -> NDArray:
        """Return (B,) float32, how much the examples at `indices` count."""
        return np.ones(len(indices), np.float32) if self.weight is None else np.asarray(self.weight[indices])

    def check(self, spec: Spec) -> None:
        """Raise DataError where a target is none that an output of `spec` can give: an answer out of range, or no number."""
        target = np.asarray(self.target)
        if not len(target):
            return
        if target.ndim == 1:
            strange = np.flatnonzero((target < 0) | (target >= spec.width))
            what = f"the answers go from 0 to {spec.width - 1}"
        else:
            strange = np.flatnonzero(~np.isfinite(target).all(axis=1) | (target.shape[1] != spec.width))
            what = f"every answer is {spec.width} finite numbers"
        if len(strange):
            raise DataError(
                f"{len(strange)} of {len(target)} encoded rows have a target that cannot be learnt, the first is row {strange[0]} "
                f"({target[strange[0]]}); {what}. Prepare the data again, or mend the task."
            )

    @classmethod
    def write(cls, folder: Path, batches: Iterable[tuple[Batch, NDArray]], weights: Iterable[NDArray] | None = None) -> Examples:
        """Write encoded batches, and the weights of their rows, into `folder` (made when needed) and open it. Holds one batch at a time."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, _Growing] = {}

        def add(name: str, values: NDArray) -> None:
            if name not in arrays:
                arrays[name] = _Growing(folder / f"{name}.npy", values)
            arrays[name].add(values)

        try:
            for batch, target in batches:
                for name, array in batch.items():
                    if isinstance(array, Ragged):
                        # Offsets go on from where those before them end; the first is the zero that all begin with.
                        start = len(arrays[f"{name}.values"]) if f"{name}.values" in arrays else 0
                        if not start and f"{name}.offsets" not in arrays:
                            add(f"{name}.offsets", np.zeros(1, np.int64))
                        add(f"{name}.values", array.values[array.offsets[0] : array.offsets[-1]])
                        add(f"{name}.offsets", (array.offsets[1:] - array.offsets[0] + start).astype(np.int64))
                    else:
                        add(name, array)
                add("target", target)
            for weight in weights or ():
                add("weight", weight.astype(np.float32))
        finally:
            for growing in arrays.values():
                growing.close()
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
            elif not part and name not in ("target", "weight"):
                inputs[name] = _map(path)
        weight = _map(folder / "weight.npy") if (folder / "weight.npy").exists() else None
        return cls(inputs, _map(folder / "target.npy"), weight, folder)

    @classmethod
    def exists(cls, folder: Path) -> bool:
        return (folder / "done").exists()


class _Growing:
    """A .npy file that rows are added to."""

    def __init__(self, path: Path, like: NDArray) -> None:
        self._file, self._dtype, self._tail, self._count = path.open("wb"), like.dtype, like.shape[1:], 0
        self._file.write(bytes(_HEADER_BYTES))

    def __len__(self) -> int:
        return self._count

    def add(self, values: NDArray) -> None:
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._count += len(values)

    def close(self) -> None:
        """Write the header (numpy.lib.format, version 1.0), filled up with blanks as the format allows."""
        described = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._count, *self._tail)}
        magic = npy.magic(1, 0)
        room = _HEADER_BYTES - len(magic) - 2
        self._file.seek(0)
        self._file.write(magic + room.to_bytes(2, "little") + (repr(described).ljust(room - 1) + "\n").encode("latin1"))
        self._file.close()


def _map(path: Path) -> NDArray:
    try:
        mapped: NDArray = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:  # an array without values cannot be mapped
        mapped = np.load(path, allow_pickle=False)
    return mapped
