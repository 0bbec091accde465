"""Rectangular named arrays through one graph: how nets over tables and images are served. Knows no runtime, and not what the arrays mean.

`engine.json` in an engine's folder says what every runtime must know beside the weights: which arrays the graph takes, and what it returns.

Shapes: B examples asked for, R of them at once, W width of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from penjing.core.errors import RunFailed
from penjing.core.files import read_json, write_json
from penjing.core.graphs.batching import present
from penjing.core.types import Batch, NDArray, Spec, size

_MULTIPLIED = 4e9
"""Multiplications at once, about: enough to keep all cores busy, few enough for what lies between two steps to stay small."""
_MOST_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Form:
    """What `engine.json` says of a plain graph."""

    inputs: Mapping[str, tuple[str, tuple[int, ...]]]
    """Of each array that the graph takes, in this order: its dtype, and the shape of one example."""
    output: str
    spec: Spec
    multiplied: int
    """Multiplications that one example takes."""
    steps: tuple[str, ...]
    """The names of what is computed on the way; the last is the output."""
    net: str = ""
    """What torch makes the net of again, "module:Class" below penjing.training, for the runtime that needs it."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The arguments that it is made with."""

    @property
    def rows(self) -> int:
        """How many examples go through at once."""
        return int(min(_MOST_ROWS, max(1, _MULTIPLIED // max(1, self.multiplied))))

    @property
    def example(self) -> Batch:
        """Two examples of nothing but zeros, of the right shapes."""
        return {name: np.zeros((2, *shape), dtype) for name, (dtype, shape) in self.inputs.items()}

    def write(self, folder: Path, net: bool = False) -> None:
        """Write `engine.json`; net: with what torch needs."""
        told = {
            "inputs": {name: [dtype, list(shape)] for name, (dtype, shape) in self.inputs.items()},
            "outputs": {self.output: asdict(self.spec)},
            "multiplied": self.multiplied,
            "steps": list(self.steps),
        }
        write_json(folder / "engine.json", told | ({"net": self.net, "config": dict(self.config)} if net else {}))

    @classmethod
    def read(cls, folder: Path, *files: str) -> Form:
        """Read what `write` wrote. Raises RunFailed where it, or one of the `files` that the runtime reads, is missing or broken."""
        present(folder, "engine.json", *files)
        try:
            told = read_json(folder / "engine.json")
            ((output, spec),) = told["outputs"].items()
            inputs = {name: (str(np.dtype(dtype)), tuple(map(int, shape))) for name, (dtype, shape) in told["inputs"].items()}
            steps = tuple(map(str, told["steps"]))
            return cls(inputs, output, Spec(**spec), int(told["multiplied"]), steps, str(told.get("net", "")), dict(told.get("config", {})))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunFailed(f"{folder / 'engine.json'} does not describe an engine: {error!r}. Export the tier again.") from error


class Graph(Protocol):
    """One graph in one runtime. Thread-safe."""

    def run(self, arrays: Mapping[str, NDArray]) -> NDArray:
        """Return (R, W) float32. `arrays` are those of the form, in its order and dtypes, (R, …) each."""

    def steps(self, arrays: Mapping[str, NDArray]) -> Sequence[NDArray]:
        """Return the values of each step of the form, (R, …) each."""


class Plain:
    """An engine: one graph, and what it takes and returns. A runtime adds how it is opened."""

    def __init__(self, form: Form, graph: Graph) -> None:
        self.form, self.graph = form, graph

    def run(self, batch: Batch) -> Batch:
        """Return {output: (B, W) float32}. Raises TypeError for a batch of another processor."""
        count = size(batch)
        out_BW = np.empty((count, self.form.spec.width), np.float32)
        for start in range(0, count, self.form.rows):
            rows = slice(start, min(start + self.form.rows, count))
            out_BW[rows] = self.graph.run(self._taken(batch, rows))
        return {self.form.output: out_BW}

    def work(self, batch: Batch) -> float:
        return float(size(batch) * self.form.multiplied)

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield each step of `run(batch)` and its values, (B, …) laid flat to (B, n)."""
        count = size(batch)
        blocks = [self.graph.steps(self._taken(batch, slice(i, i + self.form.rows))) for i in range(0, count, self.form.rows)]
        for name, *values in zip(self.form.steps, *blocks, strict=True):
            yield name, np.concatenate([np.asarray(v, np.float32).reshape(len(v), -1) for v in values])

    def _taken(self, batch: Batch, rows: slice) -> dict[str, NDArray]:
        taken = {}
        for name, (dtype, shape) in self.form.inputs.items():
            array = batch.get(name)
            if not isinstance(array, np.ndarray) or array.shape[1:] != shape:
                found = f"of shape {array.shape}" if isinstance(array, np.ndarray) else "none"
                raise TypeError(f"Expected an array {name!r} of shape (B, {', '.join(map(str, shape))}), found {found}.")
            taken[name] = np.require(array[rows], dtype, ["C", "W"])  # a mapped file is read-only, which torch warns of
        return taken


def is_plain(folder: Path) -> bool:
    """Return whether `folder` holds a plain graph; false where it holds a chain over tokens, or nothing."""
    try:
        return "inputs" in read_json(folder / "engine.json")
    except (OSError, TypeError, ValueError):
        return False
