"""Rows, arrays and predictions: the three kinds of value that cross a border. Knows nothing of tasks or files.

Shapes: B examples in a batch, N values of all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

NDArray = npt.NDArray[Any]
Row = Mapping[str, Any]
"""One record of the user's data: named values."""
Prediction = dict[str, Any]
"""What the user gets back for one row."""
Link = Literal["softmax", "sigmoid", "identity"]
"""How logits become answers; the canonical loss of a generalised linear model follows from it."""
FORMULA_SECONDS, FORMULA_MEMORY = 3.0, 1.6
"""How far off a formula that has seen nothing of the rows' learning may be, as a factor: other machines, busy neighbours, early stopping."""


@dataclass(frozen=True, slots=True)
class Ragged:
    """B sequences of different lengths in two arrays, without padding.

    values: (N, …) all sequences one after the other; offsets: (B + 1,) int64, sequence i is `values[offsets[i]:offsets[i + 1]]`.
    """

    values: NDArray
    offsets: NDArray

    @classmethod
    def of(cls, sequences: Sequence[NDArray | Sequence[Any]], dtype: npt.DTypeLike) -> Ragged:
        """Join `sequences` into one Ragged."""
        offsets = np.zeros(len(sequences) + 1, np.int64)
        np.cumsum([len(s) for s in sequences], out=offsets[1:])
        values = np.concatenate([np.asarray(s, dtype) for s in sequences]) if sequences else np.zeros(0, dtype)
        return cls(values, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> NDArray:
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    @property
    def lengths(self) -> NDArray:
        """(B,) int64."""
        return np.diff(self.offsets)

    def take(self, indices: NDArray) -> Ragged:
        """Return the sequences at `indices`, in that order."""
        offsets = np.zeros(len(indices) + 1, np.int64)
        np.cumsum(self.lengths[indices], out=offsets[1:])
        return Ragged(self.values[self.places(indices)], offsets)

    def places(self, indices: NDArray) -> NDArray:
        """Return where the values of the sequences at `indices` stand, in that order."""
        lengths = self.lengths[indices]
        before = np.cumsum(lengths) - lengths
        return np.repeat(self.offsets[:-1][indices] - before, lengths) + np.arange(lengths.sum())

    def padded(self, fill: int | float = 0) -> tuple[NDArray, NDArray]:
        """Return (B, longest) values filled up with `fill`, and a boolean mask of the same shape that is true on real values."""
        lengths = self.lengths
        mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
        out = np.full(mask.shape, fill, self.values.dtype)
        out[mask] = self.values[self.offsets[0] : self.offsets[-1]]
        return out, mask


Array = NDArray | Ragged
Batch = dict[str, Array]
"""Named arrays for B examples."""


def size(batch: Batch) -> int:
    """Return B."""
    return len(next(iter(batch.values())))


def take(batch: Batch, indices: NDArray) -> Batch:
    """Return the examples at `indices`, in that order."""
    return {name: a.take(indices) if isinstance(a, Ragged) else a[indices] for name, a in batch.items()}


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Join batches that hold the same names, one after the other."""
    joined: Batch = {}
    for name, first in batches[0].items():
        parts = [b[name] for b in batches]
        if isinstance(first, Ragged):
            ragged = [p for p in parts if isinstance(p, Ragged)]
            starts = np.cumsum([0, *(len(r.values) for r in ragged[:-1])])
            offsets = np.concatenate([[0], *(r.offsets[1:] + s for r, s in zip(ragged, starts, strict=True))])
            joined[name] = Ragged(np.concatenate([r.values for r in ragged]), offsets.astype(np.int64))
        else:
            joined[name] = np.concatenate([p for p in parts if isinstance(p, np.ndarray)])
    return joined


@dataclass(frozen=True, slots=True)
class Spec:
    """An array that every engine for a task returns: (B, width) float32, and the link that turns it into an answer."""

    width: int
    link: Link


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured value. It holds no threshold: limits belong to the user."""

    name: str
    value: float
    unit: str = ""
    low: float | None = None
    """Lower end of the 95 % interval."""
    high: float | None = None
    n: int | None = None
    """How many rows it was measured on."""
    method: str = ""
    better: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a step is expected to cost, before anything is spent. Times are of learning and exporting, memory is of the whole process at its peak."""

    seconds: float
    memory_bytes: int
    disk_bytes: int
    why: str = ""
    """How it was arrived at, in a few words."""
    seconds_low: float | None = None
    """Ends of the range that the seconds are expected in; where not given, a factor of FORMULA_SECONDS either way, as of a formula alone."""
    seconds_high: float | None = None
    memory_low: int | None = None
    """The same of the memory; FORMULA_MEMORY where not given."""
    memory_high: int | None = None
    watts: float | None = None
    """What is drawn meanwhile, where it was seen."""
    probed: bool = False
    """Whether it rests on a trial with some of the rows, and not on a formula alone."""
    told: str = ""
    """What the user should know of the rows before they are learnt from, in a sentence; empty where there is nothing."""

    def held_by(self, workers: int) -> Estimate:
        """Return it for `workers` processes of this machine that learn together: each holds all that one would, and together they take as long."""
        if workers == 1:
            return self
        low, high = self.memory_low or 0, self.memory_high or 0
        why = f"{self.why}; held by {workers} workers"
        return replace(self, memory_bytes=workers * self.memory_bytes, memory_low=workers * low, memory_high=workers * high, why=why)

    def __post_init__(self) -> None:
        ranges = {
            "seconds_low": self.seconds / FORMULA_SECONDS,
            "seconds_high": self.seconds * FORMULA_SECONDS,
            "memory_low": int(self.memory_bytes / FORMULA_MEMORY),
            "memory_high": int(self.memory_bytes * FORMULA_MEMORY),
        }
        for name, value in ranges.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
