"""The process in which a tier is tried: `python -m penjing.pipeline.trial FOLDER`, FOLDER/job.json → FOLDER/trials.json.

A process of its own, so that the peak of its memory is the tier's, and so that who plans stays light. The learner itself learns from some of the
user's own rows, is exported and answers; nothing is known of what it does inside.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penjing.core import plugins
from penjing.core.energy import metered
from penjing.core.examples import Examples
from penjing.core.files import read_json, write_json
from penjing.core.learning.tiers import TierConfig
from penjing.core.learning.trials import Trial, Trials
from penjing.core.learning.watch import Watch
from penjing.core.machine import forget_peak, give_back, peak_bytes
from penjing.core.protocols import Engine, Fitting, HasExits, HasNames, Learner, Processor, Silent
from penjing.core.rows import WEIGHT
from penjing.core.snapshot import Rows, Snapshot, Split
from penjing.core.tier import Tier, packed
from penjing.core.types import Batch, Ragged, Row
from penjing.stages.export import export
from penjing.stages.train import as_shares

JOB, FOUND = "job.json", "trials.json"
FEW, FEW_WHOLE = 8, 50
"""Rows of a small trial: of what descends step by step, and of what does not."""
_POOL, _PLACES = 4096, 8
"""Rows that the trials draw from, and the places of the file that they are read at."""
_POOL_BYTES = 64 << 20
_ANSWERED = 32


@dataclass
class Tried:
    """One fit: what it took, and what was learnt."""

    trial: Trial
    learner: Learner
    processor: Processor
    sizes: tuple[int, ...]
    watts: float
    seconds: float


@dataclass(frozen=True)
class Job:
    """What is tried, on which rows, and for how long."""

    data: Snapshot
    tier: TierConfig
    folder: Path
    seed: int
    seconds: float
    """That the larger trial should take, about."""
    steps: bool
    """Whether the tier descends step by step, as far as its options tell."""
    rows: Mapping[Split, Sequence[Row]]

    @classmethod
    def read(cls, folder: Path) -> Job:
        told = read_json(folder / JOB)
        data = Snapshot.open(Path(told["data"]))
        pools = {split: pool(data.rows(split)) for split in ("train", "validation", "unlabelled")}
        return cls(data, TierConfig.parse(told["tier"]), folder, told["seed"], told["seconds"], told["steps"], pools)  # type: ignore[arg-type]

    def validation_for(self, rows: int) -> int:
        """Return with how many validation rows a trial of `rows` rows is done: in proportion."""
        there = self.data.counts["validation"]
        return min(len(self.rows["validation"]), max(1, round(rows * there / self.data.counts["train"]))) if there else 0


def pool(rows: Rows) -> list[Row]:
    """Return rows from all over the file, in the order of their sizes."""
    each = -(-min(len(rows), _POOL) // _PLACES)
    starts = sorted({round(i * max(len(rows) - each, 0) / (_PLACES - 1)) for i in range(_PLACES)}) if each else []
    found: dict[int, Row] = {}
    taken = 0
    for start in starts:
        for place, row in enumerate(rows[start : start + each], start):
            if taken < _POOL_BYTES or len(found) < FEW:
                found[place] = row
                taken += _size(row)
    return sorted(found.values(), key=_size)


def _size(row: Row) -> int:
    return sum(len(value) if isinstance(value, str | bytes) else 8 for value in row.values())


def drawn(rows: Sequence[Row], count: int) -> list[Row]:
    """Return `count` of the `rows`, as many small and large ones as there are among all."""
    places = ((np.arange(count) + 0.5) * len(rows) / max(count, 1)).astype(int)
    return [rows[place] for place in places]


def main(folder: Path) -> None:
    """Try the tier that FOLDER/job.json tells of."""
    job = Job.read(folder)
    most, few = len(job.rows["train"]), FEW if job.steps else FEW_WHOLE
    few = min(few, most)
    cold = tried(job, few).trial
    large = tried(job, few)
    small = large.trial
    if few < most:
        seconds = large.seconds
        del large  # what was learnt is let go of, so that its memory is not counted twice
        large = larger(job, few, seconds, most)
    forget_peak()
    started = time.perf_counter()
    engine = exported(large, job)
    export, export_bytes = time.perf_counter() - started, peak_bytes()
    answering = answered(engine, large, job)
    trials = Trials(cold, small, large.trial, export, export_bytes, answering, large.watts, large.sizes)
    write_json(folder / FOUND, {"trials": trials.as_json(), "members": 1 + (len(large.learner.exits) if isinstance(large.learner, HasExits) else 0)})


def larger(job: Job, rows: int, seconds: float, most: int) -> Tried:
    """Return a trial with more than `rows` rows, as many as fit the time, found by growing from one that took `seconds`."""
    spent = 0.0
    while True:
        rows = min(most, int(rows * min(max(0.7 * job.seconds / max(seconds, 1e-3), 2.0), 16.0)))
        best = tried(job, rows)
        seconds, spent = best.seconds, spent + best.seconds
        if rows == most or spent >= job.seconds or seconds >= job.seconds / 2:
            return best
        del best


def tried(job: Job, count: int) -> Tried:
    """Return what learning from `count` rows took, from the rows to the learnt files."""
    give_back()
    forget_peak()
    place = job.folder / "try"
    for name in ("checkpoints", "cache", "learner"):
        shutil.rmtree(place / name, ignore_errors=True)
        (place / name).mkdir(parents=True)
    with metered() as used:
        watch = Watch(until=job.seconds / 2)
        started = time.perf_counter()
        kind: type[Learner] = plugins.load("learners", job.tier.learner)
        processor = _processor(job, count)
        examples, validation = _encoded(job, processor, "train", count), _encoded(job, processor, "validation", job.validation_for(count))
        learner = kind.create(job.tier.options, job.data.task.outputs)
        names = processor.names if isinstance(processor, HasNames) else {}
        unlabelled = _encoded(job, processor, "unlabelled", min(count, len(job.rows["unlabelled"])))
        began = time.perf_counter()
        learner.fit(
            examples,
            validation,
            Fitting(job.seed, watch, place / "checkpoints", place / "cache", names, unlabelled if len(unlabelled) else None, watch, watch.tell),
        )
        learner.save(place / "learner")
        ended = time.perf_counter()
    sizes = tuple(int(n) for n in _tokens(examples.inputs))
    descents = watch.descents(count, getattr(job.tier.options, "batch_size", None) or 1, float(np.mean(sizes)) if sizes else 1.0)
    after = ended - watch.last if descents else 0.0
    before = ended - started - after - sum(map(sum, (seen.seconds for seen in watch.seen))) - watch.between
    head = max(0.0, before - (began - started) - watch.reading) if job.steps else 0.0
    trial = Trial(count, len(validation), before, after, peak_bytes(), head, descents)
    return Tried(trial, learner, processor, sizes, used.energy.joules / used.seconds, used.seconds)


def exported(one: Tried, job: Job) -> Engine:
    """Return the engine of what was learnt, exported and held against it as the stage does, on few rows."""
    place, data = job.folder / "try", _some(job, max(one.trial.validation, 2))
    named = {"name": job.tier.name, "learner": job.tier.learner}
    write_json(place / "learnt.json", named | {"task": packed("tasks", data.task), "processor": packed("processors", one.processor)})
    (job.folder / "exported").mkdir()
    export(place, data, job.folder / "exported", Silent())
    return Tier.open(job.folder / "exported").engine


def _some(job: Job, count: int) -> Snapshot:
    """Return a snapshot of a few rows."""
    folder = job.folder / "data"
    folder.mkdir()
    counts = dict.fromkeys(job.data.counts, 0)
    for split, pool_of in job.rows.items():
        rows = drawn(pool_of, min(count, len(pool_of)))
        schema = pq.read_schema(job.data.folder / f"{split}.parquet")
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{split}.parquet")
        counts[split] = len(rows)
    return Snapshot(folder, job.data.task, job.data.columns, counts)


def answered(engine: Engine, one: Tried, job: Job) -> float:
    """Return the seconds in which `engine` answers a row."""
    rows = drawn(job.rows["validation"] or job.rows["train"], _ANSWERED)
    engine.run(one.processor.encode(rows[:2]))
    started = time.perf_counter()
    engine.run(one.processor.encode(rows))
    return (time.perf_counter() - started) / len(rows)


def _processor(job: Job, count: int) -> Any:
    processor = plugins.load("processors", job.tier.processor)
    return processor(**processor.options_from(drawn(job.rows["train"], count), job.data.columns, job.tier.options.resolved()))


def _encoded(job: Job, processor: Any, split: Split, count: int) -> Examples:
    rows, task = drawn(job.rows[split], count) if count else job.rows["train"][:1], job.data.task
    target = np.zeros(len(rows), np.int64) if split == "unlabelled" and count else task.target_of(rows)
    weight = np.array([row[WEIGHT] for row in rows], np.float32) if split == "train" and WEIGHT in rows[0] else None
    examples = Examples(processor.encode(rows), target, weight)
    if not count:
        examples = Examples(*examples.batch(np.zeros(0, np.int64)))
    return as_shares(task, examples) if job.tier.teacher is not None and split != "unlabelled" else examples


def _tokens(inputs: Batch) -> Any:
    """Return the tokens of each row; nothing where rows have none."""
    return next((array.lengths for array in inputs.values() if isinstance(array, Ragged)), ())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # threads of the libraries that were tried have nothing more to do
