"""tier + snapshot → a learnt tier: encodes the rows once, fits the learner, and measures it on the validation rows.

Layout of the folder: `learnt.json` (names and options), `learner/` (the learner's own files), `measured/training.json`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core import plugins
from penjing.core.artefacts import CHECKPOINTS
from penjing.core.examples import Examples
from penjing.core.files import digest, sha256, write_json
from penjing.core.protocols import Fitting, Learner, Processor, Progress
from penjing.core.snapshot import Snapshot, Split
from penjing.core.tier import Tier, packed
from penjing.core.tiers import TierConfig
from penjing.core.types import Batch, NDArray

CHUNK = 4096


def train(tier: TierConfig, data: Snapshot, seed: int, folder: Path, cache: Path, progress: Progress) -> None:
    """Learn `tier` from the training rows of `data` and write it into `folder`; goes on from the checkpoints of a killed try."""
    started = time.monotonic()
    kind: type[Learner] = plugins.load("learners", tier.learner)
    processor = _processor(kind.processor, tier, data)
    examples = {split: _encoded(processor, data, split, cache, progress) for split in ("train", "validation")}
    learner = kind.create(tier.options, data.task.outputs)
    checkpoints = folder / CHECKPOINTS
    checkpoints.mkdir(exist_ok=True)
    learner.fit(examples["train"], examples["validation"], Fitting(seed, progress, checkpoints, cache))
    seconds = time.monotonic() - started
    (folder / "learner").mkdir(exist_ok=True)
    learner.save(folder / "learner")
    named = {"name": tier.name, "learner": tier.learner}
    write_json(folder / "learnt.json", named | {"task": packed("tasks", data.task), "processor": packed("processors", processor)})
    measured = _validated(Tier(tier.name, data.task, processor, learner), data)
    write_json(folder / "measured" / "training.json", {"seconds": round(seconds, 3), "validation": measured})
    shutil.rmtree(checkpoints)


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
        for rows in data.chunks(split, CHUNK):
            yield processor.encode(rows), data.task.target_of(rows)
            progress.advance(len(rows))

    examples = Examples.write(folder, batches())
    progress.finish()
    return examples


def _nothing(processor: Processor, data: Snapshot) -> Examples:
    row = data.rows("train", 1)
    return Examples(*Examples(processor.encode(row), data.task.target_of(row)).batch(np.zeros(0, np.int64)))


def _validated(tier: Tier, data: Snapshot) -> list[dict[str, Any]]:
    rows = data.rows("validation")
    predictions = [p for start in range(0, len(rows), CHUNK) for p in tier.predict(rows[start : start + CHUNK])]
    return [asdict(m) for m in data.task.score(predictions, rows)] if rows else []
