"""learnt tier → the form that is served, with parity between the two on the validation rows.

Layout of the folder: as core/tier.py says, and `measured/parity.json`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from penjing.core import plugins
from penjing.core.files import read_json, write_json
from penjing.core.handover import parity
from penjing.core.protocols import Learner, Processor, Progress, Task
from penjing.core.snapshot import Snapshot
from penjing.core.tier import Tier, describe, unpacked


def export(learnt: Path, data: Snapshot, folder: Path, progress: Progress) -> None:
    """Write the served form of the tier that `train` wrote into `learnt`."""
    described = read_json(learnt / "learnt.json")
    task: Task = unpacked("tasks", described["task"])
    processor: Processor = unpacked("processors", described["processor"])
    kind: type[Learner] = plugins.load("learners", described["learner"])
    learner = kind.open(learnt / "learner")
    (folder / "engine").mkdir(exist_ok=True)
    progress.start(f"export {described['name']}", 0)
    engine = learner.export(folder / "engine")
    describe(folder, described["name"], task, processor, engine)
    progress.finish()
    measured = parity(Tier.open(folder), Tier(described["name"], task, processor, learner), data, folder)
    write_json(folder / "measured" / "parity.json", [asdict(m) for m in measured])
