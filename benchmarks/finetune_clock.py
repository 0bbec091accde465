"""What the two sides of finetune.py share in their child processes: the rows, a clock that can be stopped, and how answers are judged.

Runs in either environment: needs torch, tokenizers and numpy, and knows nothing of Penjing, Trainer or any other library that learns.

Shapes: B texts of a piece, T tokens of the longest of them.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

Forward = Callable[[Any, Any], Any]
"""(ids (B, T), mask (B, T)) → logits (B, classes)."""

_CELLS = 8192
"""Tokens, padding included, that are asked for at once when answers are judged: less than any side learns from at once."""


@dataclass(frozen=True)
class Rows:
    """Texts and the numbers of their labels."""

    texts: list[str]
    labels: list[int]

    @classmethod
    def read(cls, asked: dict[str, Any], split: str) -> Rows:
        """Return the rows of a split; of a short slice, as many as it has time for."""
        lines = (Path(asked["data"]) / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines[: asked["slice_rows"].get(split)]]
        return cls([row["text"] for row in found], [row["label"] for row in found])


class Clock:
    """Seconds, busy seconds of the cores, and the most memory since it was made; what is spent and held while it is paused does not count."""

    def __init__(self) -> None:
        self._began = _now()
        self._paused = (0.0, 0.0)
        self._peak = 0

    def now(self) -> tuple[float, float]:
        return _less(_less(_now(), self._began), self._paused)

    def peak_bytes(self) -> int:
        """Return the most memory that the process has held; of processes that it started, the most that one of them has."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        told = Path("/proc/self/status").read_text()
        return max(self._peak, children, 1024 * int(told.partition("VmHWM:")[2].split()[0]))

    @contextmanager
    def paused(self) -> Iterator[None]:
        began = _now()
        self._peak = self.peak_bytes()
        try:
            yield
        finally:
            _give_back()
            spent = _less(_now(), began)
            self._paused = (self._paused[0] + spent[0], self._paused[1] + spent[1])


@dataclass
class Judge:
    """Judges a model on test rows while the clock stands still."""

    ids: list[list[int]]
    labels: list[int]
    few: int
    """Rows, the first ones, that are asked while learning goes on."""
    bf16: bool
    clock: Clock
    points: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def of(cls, asked: dict[str, Any], clock: Clock) -> Judge:
        rows, tokenizer = Rows.read(asked, "test"), Tokenizer.from_file(str(Path(asked["model"]) / "tokenizer.json"))
        tokenizer.enable_truncation(asked["tokens"])
        tokenizer.no_padding()
        return cls([one.ids for one in tokenizer.encode_batch(rows.texts)], rows.labels, asked["few"], asked["bf16"], clock)

    def look(self, epoch: float, forward: Forward) -> None:
        """Add a point to the curve."""
        at = self.clock.now()
        with self.clock.paused():
            self.point(epoch, self.said(forward, self.few), at)

    def point(self, epoch: float, said: Sequence[int], at: tuple[float, float]) -> None:
        """at: seconds and busy seconds that were spent until there."""
        self.points.append({"epoch": epoch, "seconds": at[0], "busy": at[1], "accuracy": self.right(said)})
        print(f"    epoch {epoch:.2f}, {at[0]:.0f} s: {self.right(said):.2%} of {len(said)}", file=sys.stderr, flush=True)

    def right(self, said: Sequence[int]) -> float:
        """Return the share of right answers; `said` may be of the first rows only."""
        return float(np.mean([a == b for a, b in zip(said, self.labels, strict=False)]))

    def said(self, forward: Forward, count: int | None = None) -> list[int]:
        """Return the label that is answered to each of the first `count` test rows (all where None), in bfloat16 where that is quick."""
        ids = self.ids[:count]
        said = [0] * len(ids)
        for part in _pieces([len(one) for one in ids]):
            longest = max(len(ids[i]) for i in part)
            ids_BT, mask_BT = torch.zeros((len(part), longest), dtype=torch.int64), torch.zeros((len(part), longest), dtype=torch.int64)
            for place, i in enumerate(part):
                ids_BT[place, : len(ids[i])], mask_BT[place, : len(ids[i])] = torch.tensor(ids[i]), 1
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                found = forward(ids_BT, mask_BT).argmax(dim=1)
            for i, label in zip(part, found.tolist(), strict=True):
                said[i] = label
        return said


def finish(asked: dict[str, Any], figures: dict[str, Any], said: Sequence[int], labels: Sequence[int]) -> None:
    """Write what a child found out; `peak_bytes` must be among the figures already, as judging is none of learning."""
    accuracy = {"accuracy": float(np.mean([a == b for a, b in zip(said, labels, strict=True)])), "said": list(said)} if said else {}
    result = {"side": asked["side"], "seed": asked["seed"], **figures, **accuracy}
    path = Path(asked["out"])
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result) + "\n")
    partial.replace(path)


def _give_back() -> None:
    """Give free memory back to the system, and begin anew to note the most that is held (glibc and Linux)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def _now() -> tuple[float, float]:
    times = os.times()
    return time.perf_counter(), time.process_time() + times.children_user + times.children_system


def _less(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return a[0] - b[0], a[1] - b[1]


def _pieces(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield indices of texts of like lengths, as many as stay within the cells."""
    piece: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if piece and (len(piece) + 1) * lengths[i] > _CELLS:
            yield piece
            piece = []
        piece.append(i)
    if piece:
        yield piece
