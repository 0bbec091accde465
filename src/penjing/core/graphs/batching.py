"""Ragged sequences → small rectangles → outputs in the order asked. Knows nothing of runtimes, so that all of them batch alike.

`engine.json` in an engine's folder says what each of them must know beside the weights: the output, and the id to pad with.

Shapes: B sequences asked for, R rows in a rectangle, T tokens in its longest row, W width of an output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from penjing.core.errors import RunFailed
from penjing.core.files import read_json, write_json
from penjing.core.types import Batch, NDArray, Ragged, Spec

TOKENS = 2048
"""Cells in a rectangle. Measured with MiniLM on two cores: the most tokens per second in float32 and bfloat16 alike; larger ones leave the cache."""


@dataclass(frozen=True, slots=True)
class Described:
    """What `engine.json` says."""

    output: str
    spec: Spec
    pad: int
    hidden: int = 0
    """Units of the state between two segments; only told where there are early exits."""
    exits: tuple[int, ...] = ()
    """Depths, in layers, after which there is an early exit; empty for an encoder in one piece."""

    multiplied: tuple[int, ...] = ()
    """Multiplications that a token takes in each graph."""

    @property
    def stems(self) -> tuple[str, ...]:
        """The names, without their endings, of the files of graphs: one, or one a segment."""
        return tuple(f"segment-{i + 1}" for i in range(len(self.exits) + 1)) if self.exits else ("model",)

    def write(self, folder: Path) -> None:
        told = {"outputs": {self.output: asdict(self.spec)}, "pad": self.pad, "multiplied": self.multiplied}
        write_json(folder / "engine.json", told | ({"hidden": self.hidden, "exits": self.exits} if self.exits else {}))

    @classmethod
    def read(cls, folder: Path, *files: str) -> Described:
        """Read what `write` wrote. Raises RunFailed where it, or one of the `files` that the engine reads, is missing or broken."""
        present(folder, "engine.json", *files)
        try:
            described = read_json(folder / "engine.json")
            ((output, spec),) = described["outputs"].items()
            exits, multiplied = (tuple(map(int, described.get(name, ()))) for name in ("exits", "multiplied"))
            return cls(output, Spec(**spec), int(described["pad"]), int(described.get("hidden", 0)), exits, multiplied)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunFailed(f"{folder / 'engine.json'} does not describe an engine: {error!r}. Export the tier again.") from error

    @classmethod
    def with_graphs(cls, folder: Path, *endings: str) -> tuple[Described, list[Path]]:
        """Read `engine.json` and return with it the file of each graph (the first of the `endings`, all of which must be there)."""
        described = cls.read(folder)
        present(folder, *(stem + ending for stem in described.stems for ending in endings))
        return described, [folder / f"{stem}{endings[0]}" for stem in described.stems]


def present(folder: Path, *files: str) -> None:
    """Raise RunFailed where one of the `files` is missing from `folder`."""
    for name in files:
        if not (folder / name).is_file():
            raise RunFailed(f"{folder} holds nothing to run: {name} is missing. Export the tier again.")


def token_ids(batch: Batch) -> Ragged:
    """Return what the processor `tokens` made. Raises TypeError for the batch of another one."""
    ids = batch.get("input_ids")
    if not isinstance(ids, Ragged):
        raise TypeError(f"Expected ragged 'input_ids', as the processor 'tokens' makes them, found {', '.join(batch) or 'nothing'}.")
    return ids


def filled(ids: Ragged, pad: int) -> Ragged:
    """Return `ids` with one `pad` in each sequence that has no token, as `rectangle` reads it."""
    if len(ids) == 0 or ids.lengths.min() > 0:
        return ids
    return Ragged.of([part if len(part) else [pad] for part in (ids[i] for i in range(len(ids)))], ids.values.dtype)


def rectangle(ids: Ragged, pad: int) -> tuple[NDArray, NDArray]:
    """Return (R, T) int64 ids filled up with `pad`, and the (R, T) int64 mask that is 1 on real tokens.

    A sequence without tokens is read as one `pad`: a mean over nothing has no value.
    """
    if len(ids) == 0 or ids.lengths.max() == 0:
        return np.full((len(ids), 1), pad, np.int64), np.ones((len(ids), 1), np.int64)
    values_RT, mask_RT = ids.padded(pad)
    mask_RT[:, 0] = True
    return values_RT.astype(np.int64), mask_RT.astype(np.int64)


def groups(lengths: NDArray, tokens: int = TOKENS) -> Iterator[NDArray]:
    """Yield the places of sequences that go through together: longest first, rows x longest at most `tokens` (a longer one goes alone)."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + rows]
        start += rows


def run_in_rectangles(ids: Ragged, width: int, pad: int, run: Callable[[NDArray, NDArray], NDArray], tokens: int = TOKENS) -> NDArray:
    """Return (B, W) float32: `run(ids (R, T), mask (R, T))` of rectangles cut from `ids`, put back in the order of `ids`."""
    out_BW = np.empty((len(ids), width), np.float32)
    for rows in groups(ids.lengths, tokens):
        out_BW[rows] = run(*rectangle(ids.take(rows), pad))
    return out_BW
