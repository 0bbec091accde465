"""tier + snapshot → a learnt tier: encodes the rows once, fits the learner, and meters what that took.

Layout of the folder: `learnt.json` (names and options), `learner/` (the learner's own files), `measured/training.json`, and of what descends
`measured/curve.jsonl` (core/curve.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from penjing.core import asked, plugins
from penjing.core.allowance import Allowance
from penjing.core.artefacts import CHECKPOINTS
from penjing.core.cascade import output_of
from penjing.core.energy import metered
from penjing.core.examples import Examples
from penjing.core.files import digest, sha256, write_json
from penjing.core.learning.sinks import Log
from penjing.core.learning.tiers import TierConfig
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, HasNames, Learner, Predictor, Processor, Progress, Task
from penjing.core.rows import WEIGHT
from penjing.core.snapshot import Snapshot, Split
from penjing.core.statistics import probabilities
from penjing.core.tier import packed
from penjing.core.types import Batch, NDArray
from penjing.training.distributed import Distributed

CHUNK = 4096
CURVE = "curve.jsonl"
TRUE = 0.5
"""Share of the truth in a pupil's target for a training row."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """What all tiers of a run have in common while they learn."""

    seed: int
    cache: Path
    progress: Progress
    log: Log = field(default_factory=Log)
    distributed: Distributed = field(default_factory=Distributed)


def train(tier: TierConfig, data: Snapshot, teacher: Predictor | None, conduct: Conduct, allowance: Allowance, folder: Path) -> None:
    """Learn `tier` from the training rows of `data` and write it into `folder`; goes on from the checkpoints of a killed try.

    With a `teacher` it learns what that answers as well as what is true, and from the unlabelled rows too. allowance: what it may spend.
    """
    cache, progress = conduct.cache, conduct.progress
    checkpoints = folder / CHECKPOINTS
    checkpoints.mkdir(exist_ok=True)
    (folder / "learner").mkdir(exist_ok=True)
    with metered() as used:
        allowance.drawn = used.joules
        processor = _processor(tier.processor, tier, data)
        examples, validation = (_encoded(processor, data, split, cache, progress) for split in ("train", "validation"))
        unlabelled = _encoded(processor, data, "unlabelled", cache, progress)
        if teacher is not None:
            examples, validation = taught(teacher, data, examples, unlabelled, checkpoints, progress), as_shares(data.task, validation)
        names = processor.names if isinstance(processor, HasNames) else {}
        with conduct.log.of(tier.name, checkpoints / CURVE, progress) as tell:
            beside = unlabelled if teacher is None and len(unlabelled) else None  # a pupil's stand among its examples
            fitting = Fitting(conduct.seed, progress, checkpoints, cache, names, beside, allowance, tell)
            learner = _fitted(tier, data.task, examples, validation, conduct.distributed, fitting)
    learner.save(folder / "learner")
    named = {"name": tier.name, "learner": tier.learner}
    write_json(folder / "learnt.json", named | {"task": packed("tasks", data.task), "processor": packed("processors", processor)})
    write_json(folder / "measured" / "training.json", {"seconds": round(used.seconds, 3), "energy": used.energy.as_json()})
    if (checkpoints / CURVE).exists():
        (checkpoints / CURVE).replace(folder / "measured" / CURVE)
    shutil.rmtree(checkpoints)


def _fitted(tier: TierConfig, task: Task, examples: Examples, validation: Examples, distributed: Distributed, fitting: Fitting) -> Learner:
    """Return what was learnt, here or by several workers. Raises DataError for a target out of range."""
    _, spec = output_of(task)
    examples.check(spec)
    if distributed.shares(tier.options):
        together: Learner = plugins.load("launchers", "local")(*distributed.shared(Machine.here().cores)).fit(
            tier.learner, tier.options, task.outputs, examples, validation, fitting
        )
        return together
    learner: Learner = plugins.load("learners", tier.learner).create(tier.options, task.outputs)
    learner.fit(examples, validation, fitting)
    return learner


def _processor(name: str, tier: TierConfig, data: Snapshot) -> Processor:
    kind: type[Processor] = plugins.load("processors", name)
    return kind(**kind.options_from(data.rows("train"), data.columns, tier.options.resolved()))


def _encoded(processor: Processor, data: Snapshot, split: Split, cache: Path, progress: Progress) -> Examples:
    """Return the encoded rows of `split`, mapped into memory; encoded once for every tier with the same processor options."""
    folder = cache / f"encoded-{digest([packed('processors', processor), packed('tasks', data.task), sha256(data.folder / f'{split}.parquet')])[:16]}"
    if Examples.exists(folder):
        return Examples.open(folder)
    if not data.counts[split]:
        return _nothing(processor, data)
    progress.start(f"encode {split}", data.counts[split])

    def batches() -> Iterator[tuple[Batch, NDArray]]:
        for rows in data.chunks(split):
            yield processor.encode(rows), (np.zeros(len(rows), np.int64) if split == "unlabelled" else data.task.target_of(rows))
            progress.advance(len(rows))

    weighed = WEIGHT in next(iter(data.rows(split)))
    weights = (np.array([row[WEIGHT] for row in rows], np.float32) for rows in data.chunks(split)) if weighed else None
    examples = Examples.write(folder, batches(), weights)
    progress.finish()
    return examples


def _nothing(processor: Processor, data: Snapshot) -> Examples:
    row = data.rows("train")[:1]
    return Examples(*Examples(processor.encode(row), data.task.target_of(row)).batch(np.zeros(0, np.int64)))


def taught(teacher: Predictor, data: Snapshot, examples: Examples, unlabelled: Examples, folder: Path, progress: Progress) -> Examples:
    """Return training and unlabelled examples with what `teacher` answers as target (Hinton, Vinyals and Dean 2015, section 2).

    Of a training row half of the target is what is true: the teacher has seen it, and is surer of it than it should be.
    """
    _, spec = output_of(data.task)
    parts: list[tuple[Batch, NDArray]] = []
    weights: list[NDArray] = []
    for split, known in (("train", examples), ("unlabelled", unlabelled)):
        rows = data.rows(split)  # type: ignore[arg-type]
        progress.start(f"{teacher.name} answers {split} rows", len(rows))
        answers = probabilities(asked.ask(teacher, rows, progress).astype(np.float64), spec.link)
        progress.finish()
        target = answers if split == "unlabelled" else (1 - TRUE) * answers + TRUE * as_shares(data.task, known).target
        for start in range(0, len(rows), CHUNK):
            chosen = np.arange(start, min(start + CHUNK, len(rows)))
            parts.append((known.batch(chosen)[0], target[chosen].astype(np.float32)))
            weights.append(known.weights(chosen))
    return Examples.write(folder / "taught", parts, weights if examples.weight is not None else None)


def as_shares(task: Task, examples: Examples) -> Examples:
    """Return `examples` with the share of each class as target, as a pupil's are; what is no class stays as it is."""
    _, spec = output_of(task)
    if spec.link != "softmax":
        return examples
    return Examples(examples.inputs, np.eye(spec.width, dtype=np.float32)[examples.target], examples.weight)
