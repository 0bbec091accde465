"""An encoder cut into segments at its early exits: run from the beginning, or on from the state at which an exit left off. Knows no runtime.

A segment is one graph: ids or the state before it, and the mask → logits of the head at its end, and the state there (the last one has
none). An encoder without exits is one segment. The state at depth D is `state-D` in a batch: Ragged, (tokens, H) float32.

Shapes: B sequences asked for, R rows in a rectangle, T tokens in its longest row, H hidden units, W width of the output, N tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from penjing.core.graphs.batching import Described, groups, rectangle, token_ids
from penjing.core.types import Batch, NDArray, Ragged


class Segment(Protocol):
    """One graph in one runtime. Thread-safe."""

    def run(self, entering: NDArray, mask_RT: NDArray) -> Sequence[NDArray]:
        """Return logits (R, W) and, but for the last segment, the state (R, T, H). `entering`: (R, T) int64 ids or (R, T, H) float32."""

    def steps(self, entering: NDArray, mask_RT: NDArray) -> Iterable[tuple[str, NDArray]]:
        """Return what is computed on the way, in order: "embeddings", "layer 1" and so on, (R, T, H); "pooled" (R, H); "head" (R, W)."""


class Chain:
    """Segments, one after the other, up to the last of them: the whole, or one of its exits. An engine; a runtime adds how it is opened."""

    def __init__(self, described: Described, segments: Sequence[Segment], whole: bool = True) -> None:
        self.described, self.segments, self.whole = described, segments, whole

    @property
    def exits(self) -> Mapping[str, Chain]:
        """The early exits by name, the shallowest first; an exit has none itself."""
        depths = self.described.exits if self.whole else ()
        return {f"exit-{depth}": Chain(self.described, self.segments[: i + 1], whole=False) for i, depth in enumerate(depths)}

    def run(self, batch: Batch) -> Batch:
        """Return {output: (B, W) float32} and, of an exit, its state. Goes on from the deepest state in `batch` that lies on the way."""
        first, entering = self._entry(batch)
        lengths = np.maximum(entering.lengths, 1)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        logits_BW = np.empty((len(entering), self.described.spec.width), np.float32)
        state_NH = np.empty((0 if self.whole else offsets[-1], self.described.hidden), np.float32)
        for rows in groups(entering.lengths):
            flowing, mask_RT = self._rectangle(entering.take(rows))
            for segment in self.segments[first:]:
                logits_BW[rows], *state = segment.run(flowing, mask_RT)
                flowing = state[0] if state else flowing
            if not self.whole:
                state_NH[_places(offsets[rows], lengths[rows])] = flowing[mask_RT.astype(bool)]
        told: Batch = {self.described.output: logits_BW}
        return told if self.whole else told | {state_name(self.described.exits[len(self.segments) - 1]): Ragged(state_NH, offsets)}

    def work(self, batch: Batch) -> float:
        """Return the multiplications that `run` takes from the beginning."""
        return float(token_ids(batch).lengths.sum() * sum(self.described.multiplied[: len(self.segments)]))

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield each step that `run(batch)` takes and its values: (B, H) means over the real tokens, at last the "head" (B, W)."""
        first, entering = self._entry(batch)
        found: dict[str, NDArray] = {}
        for rows in groups(entering.lengths):
            flowing, mask_RT = self._rectangle(entering.take(rows))
            for segment in self.segments[first:]:
                for name, values in segment.steps(flowing, mask_RT):
                    flowing = values if values.ndim == 3 else flowing
                    if values.ndim == 3 or segment is self.segments[-1]:  # heads of exits on the way are no step of this one
                        means = _mean(values, mask_RT) if values.ndim == 3 else values
                        found.setdefault(name, np.empty((len(entering), means.shape[1]), np.float32))[rows] = means
        yield from found.items()

    def _entry(self, batch: Batch) -> tuple[int, Ragged]:
        """Return the first segment to run, and what enters it."""
        for i in range(len(self.segments) - 1, 0, -1):
            state = batch.get(state_name(self.described.exits[i - 1]))
            if isinstance(state, Ragged):
                return i, state
        return 0, token_ids(batch)

    def _rectangle(self, entering: Ragged) -> tuple[NDArray, NDArray]:
        return rectangle(entering, self.described.pad) if entering.values.ndim == 1 else _state_rectangle(entering)


def state_name(depth: int) -> str:
    """Return what the state at `depth` is called in a batch."""
    return f"state-{depth}"


def _state_rectangle(state: Ragged) -> tuple[NDArray, NDArray]:
    """Return (R, T, H) float32 filled up with zeros, which no real token sees, and the (R, T) int64 mask."""
    mask_RT = np.arange(state.lengths.max(initial=0)) < state.lengths[:, None]
    values_RTH = np.zeros((*mask_RT.shape, state.values.shape[1]), np.float32)
    values_RTH[mask_RT] = state.values
    return values_RTH, mask_RT.astype(np.int64)


def _places(starts: NDArray, lengths: NDArray) -> NDArray:
    """Return the indices of all values of sequences that begin at `starts`."""
    before = np.concatenate([[0], np.cumsum(lengths)])
    places: NDArray = np.repeat(starts - before[:-1], lengths) + np.arange(before[-1])
    return places


def _mean(values_RTH: NDArray, mask_RT: NDArray) -> NDArray:
    means: NDArray = (values_RTH * mask_RT[:, :, None]).sum(axis=1, dtype=np.float64) / mask_RT.sum(axis=1)[:, None]
    return means.astype(np.float32)
