"""What workers are to learn, as a file that each of them reads. Knows no learner.

Layout of a folder: `job.json`; `examples/`, `validation/`, `unlabelled/` where they lie nowhere else; `worker-RANK.log`; `learner/`, what
worker 0 has learnt. Beside it `.held`, which workers lock.
"""

from __future__ import annotations

import fcntl
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.files import read_json, write_json
from penjing.core.types import Batch, NDArray, Spec

_CHUNK = 4096
_HELD = ".held"
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Job:
    """One learning by several workers."""

    learner: str
    options: Mapping[str, Any]
    outputs: Mapping[str, Spec]
    examples: Path
    validation: Path
    unlabelled: Path | None
    names: Mapping[str, list[str]]
    seed: int
    checkpoints: Path
    cache: Path
    workers: int
    threads: int
    patience_seconds: float
    """How long a worker waits for another."""
    store: Path
    """Where they find each other; another one for every start."""
    seconds: float
    """What learning may take in all."""
    spent_seconds: float
    """Before this start."""
    joules: float
    """What learning may still draw."""
    gain_per_watt_hour: float

    def write(self, folder: Path) -> None:
        write_json(folder / "job.json", {key: _plain(value) for key, value in asdict(self).items()})

    @classmethod
    def open(cls, folder: Path) -> Job:
        told = read_json(folder / "job.json")
        for key in ("examples", "validation", "unlabelled", "checkpoints", "cache", "store"):
            told[key] = Path(told[key]) if told[key] is not None else None
        for key in ("seconds", "joules"):
            told[key] = math.inf if told[key] is None else told[key]
        told["outputs"] = {name: Spec(**spec) for name, spec in told["outputs"].items()}
        return cls(**told)


def _plain(value: Any) -> Any:
    """Return `value` as JSON holds it: no bound is null."""
    if isinstance(value, Path):
        return str(value.resolve())
    return None if value == math.inf else value


@contextmanager
def held(checkpoints: Path) -> Iterator[None]:
    """Be one of those that write into `checkpoints`, while the block lasts or until this process is killed."""
    with (checkpoints / _HELD).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def wait_for_none(checkpoints: Path, seconds: float) -> None:
    """Wait until nobody holds `checkpoints`: workers of a try that was killed end a moment after it. Raises RunFailed after so many seconds."""
    deadline = time.monotonic() + seconds
    with (checkpoints / _HELD).open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise RunFailed(
                        f"Workers of an earlier try still write into {checkpoints}. End them, then run the same command again."
                    ) from error
                time.sleep(_LOOK_SECONDS)


def placed(examples: Examples, folder: Path) -> Path:
    """Return the folder in which another process finds `examples`: their own, or `folder`, into which they are written."""
    if examples.folder is not None:
        return examples.folder
    Examples.write(folder, _chunks(examples), None if examples.weight is None else [examples.weight])
    return folder


def _chunks(examples: Examples) -> Iterator[tuple[Batch, NDArray]]:
    for start in range(0, max(len(examples), 1), _CHUNK):
        yield examples.batch(np.arange(start, min(start + _CHUNK, len(examples))))
