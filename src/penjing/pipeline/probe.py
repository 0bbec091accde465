"""Tries a tier in a process of its own, once for the same tier, rows, machine and versions, and reckons from that what it will cost.

What was tried is kept in the run's cache folder; this process imports no heavy library.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import penjing
from penjing.core import plugins
from penjing.core.config import Section
from penjing.core.files import digest, read_json, sha256, write_json
from penjing.core.learning.tiers import TierConfig
from penjing.core.learning.trials import Course, Trials, Whole, extrapolated
from penjing.core.machine import Machine
from penjing.core.protocols import Progress
from penjing.core.snapshot import Snapshot
from penjing.core.types import Estimate
from penjing.pipeline.trial import FOUND, JOB
from penjing.training.batches import epoch_batches
from penjing.training.regime import Regime

_STEPS_SECONDS, _WHOLE_SECONDS = 8.0, 4.0
"""That the larger trial of a tier takes, about: of one that descends step by step, and of one that does not."""
_PATIENCE_SECONDS = 300.0
"""After which a trial is given up."""
_LIBRARIES = ("torch", "transformers", "openvino", "onnxruntime", "lightgbm", "numpy", "scipy")


@runtime_checkable
class HasCourses(Protocol):
    """A learner that descends otherwise than its options tell by themselves; asked for by type."""

    @classmethod
    def courses(cls, options: Any, count: int) -> Sequence[Course]:
        """Return what is descended, in its order, with `count` rows."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Who tries tiers on the rows of `data`."""

    data: Snapshot
    cache: Path
    seed: int
    progress: Progress

    def tried(self, tier: TierConfig, formula: Callable[[int], Estimate]) -> Estimate | None:
        """Return what learning `tier` will cost, as a trial tells; None, and said why, where the trial did not end well.

        formula: what the learner reckons for so many rows.
        """
        if "of" in type(tier.options).model_fields:
            return None  # made of other learners, whose formulas it adds up
        count = self.data.counts["train"] + (self.data.counts["unlabelled"] if tier.teacher is not None else 0)
        told = self._kept(tier, count)
        if told is None:
            return None
        learner, validation = plugins.load("learners", tier.learner), self.data.counts["validation"]
        return extrapolated(Trials.read(told["trials"]), whole(learner, tier.options, count, validation, told["members"], formula))

    def _kept(self, tier: TierConfig, count: int) -> dict[str, Any] | None:
        place = self.cache / f"tried-{self._key(tier)[:16]}.json"
        if not place.exists():
            self.progress.start(f"trying tier {tier.name!r}", 0)
            told = self._try(tier, count)
            self.progress.finish()
            if told is None:
                return None
            write_json(place, told)
        found: dict[str, Any] = read_json(place)
        return found

    def _key(self, tier: TierConfig) -> str:
        """Return the digest of all that the trial's figures depend on."""
        machine = Machine.here()
        given = {name: _content(value) for name, value in tier.options.resolved().items()}
        described = {**tier.dump(), "name": None} | ({"epochs": None} if isinstance(tier.options, Regime) else {})
        versions = [penjing.__version__, *(_version(name) for name in _LIBRARIES)]
        rows = sha256(self.data.folder / "train.parquet")
        return digest([described, given, rows, machine.processor, machine.cores, os.environ.get("OMP_NUM_THREADS"), versions])

    def _try(self, tier: TierConfig, count: int) -> dict[str, Any] | None:
        steps = isinstance(tier.options, Regime)
        tried = TierConfig(tier.learner, tier.name, _settled(tier.options, count), tier.teacher)
        self.cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="trying-", dir=self.cache))
        job = {"data": str(self.data.folder.resolve()), "tier": tried.dump(), "seed": self.seed, "steps": steps}
        write_json(folder / JOB, job | {"seconds": _STEPS_SECONDS if steps else _WHOLE_SECONDS})
        try:
            command = [sys.executable, "-m", "penjing.pipeline.trial", str(folder.resolve())]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
            if (folder / FOUND).exists():
                told: dict[str, Any] = read_json(folder / FOUND)
                return told
            why = f"signal {-done.returncode}" if done.returncode < 0 else (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        except subprocess.TimeoutExpired:
            why = f"it took more than {_PATIENCE_SECONDS:.0f} s"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.progress.say(f"Tier {tier.name!r} could not be tried ({why}): what it will cost is reckoned by a formula.")
        return None


def whole(learner: Any, options: Section, count: int, validation: int, members: int, formula: Callable[[int], Estimate]) -> Whole:
    """Return what all of learning with `options` from `count` rows is made of."""
    courses = learner.courses(options, count) if isinstance(learner, HasCourses) else courses_of(options, count)
    patience = getattr(options, "patience", None)
    steps = isinstance(options, Regime)
    fewest = patience + 1 if steps and patience is not None and patience + 1 < courses[-1].epochs else None
    piece = float(getattr(options, "piece", math.inf))
    return Whole(count, validation, courses, piece, fewest, steps, members, lambda sizes, batch: epoch_batches(sizes, batch, 0, 1), formula)


def courses_of(options: Section, count: int) -> list[Course]:
    """Return what learning descends: first on the texts alone where the options have it so, then on the rows with their answers."""
    inner: list[Any] = [value for _, value in options if isinstance(value, Section) and getattr(value, "objective", "none") != "none"]
    epochs = int(getattr(options, "epochs", 1) or 1)
    return [*(Course(count, one.epochs, one.batch_size) for one in inner), Course(count, epochs, batch_of(options, count))]


def batch_of(options: Section, count: int) -> int:
    """Return the rows of a step, of `count` training rows."""
    for name in ("rows_a_step", "batch_for"):
        if hasattr(options, name):
            return int(getattr(options, name)(count))
    return int(getattr(options, "batch_size", None) or 1)


def _settled(options: Section, count: int) -> Section:
    """Return `options` with nothing left that depends on how many rows there are: a trial has fewer."""
    fields = type(options).model_fields
    return options.model_copy(update={"batch_size": batch_of(options, count)}) if "batch_size" in fields else options


def _content(value: Any) -> Any:
    """Return what stands for an option's value: of a folder, the names, sizes and times of its files."""
    if not isinstance(value, str) or not value.startswith("/") or not Path(value).is_dir():
        return value
    return sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in Path(value).iterdir() if path.is_file())


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""
