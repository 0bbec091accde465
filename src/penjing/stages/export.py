"""learnt tier → the form that is served, with parity between the two on the validation rows.

Layout of the folder: as core/tier.py says, and in `measured/` by the name of the tier and of each of its early exits: `parity.json`,
`validation.json` (the task's scores), and what it said of the validation rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from penjing.core import asked, plugins
from penjing.core.difference import first_difference
from penjing.core.files import read_json, write_json
from penjing.core.handover import compared, rows_of
from penjing.core.protocols import Progress
from penjing.core.snapshot import Snapshot, answers
from penjing.core.tier import Tier, describe, unpacked
from penjing.core.types import Batch, NDArray


def export(learnt: Path, data: Snapshot, folder: Path, progress: Progress) -> None:
    """Write the served form of the tier that `train` wrote into `learnt`."""
    theirs = _opened(learnt)
    (folder / "engine").mkdir(exist_ok=True)
    progress.start(f"export {theirs.name}", 0)
    engine = theirs.engine.export(folder / "engine")  # type: ignore[attr-defined]  # a learner
    describe(folder, theirs.name, theirs.task, theirs.processor, engine)
    progress.finish()
    ours = Tier.open(folder)
    pairs = zip(ours.members(), theirs.members(), strict=True)
    write_json(folder / "measured" / "parity.json", {o.name: [asdict(m) for m in compared(o, t, data, folder)] for o, t in pairs})
    _validate(ours, data, folder, progress)


def difference(learnt: Path, data: Snapshot, folder: Path) -> str | None:
    """Return what differs first between the tier exported into `folder`, or one of its early exits, and the tier that was learnt."""
    pairs = zip(Tier.open(folder).members(), _opened(learnt).members(), strict=True)
    return next((found for ours, theirs in pairs if (found := first_difference(ours, theirs, rows_of(data)))), None)


def credit(folder: Path, data: Snapshot) -> NDArray:
    """Return (B,) how right the tier exported into `folder` is on the validation rows."""
    outputs: Batch = {next(iter(data.task.outputs)): asked.kept(folder, read_json(folder / "tier.json")["name"])}
    return data.task.credit(outputs, answers(data.rows("validation"), data.task))


def _opened(learnt: Path) -> Tier:
    """Return the learnt tier, its learner as the engine."""
    described = read_json(learnt / "learnt.json")
    learner = plugins.load("learners", described["learner"]).open(learnt / "learner")
    return Tier(described["name"], unpacked("tasks", described["task"]), unpacked("processors", described["processor"]), learner)


def _validate(tier: Tier, data: Snapshot, folder: Path, progress: Progress) -> None:
    """Ask the tier and its exits the validation rows, once for all that is chosen by them."""
    rows = data.rows("validation")
    judged = answers(rows, data.task)
    scores: dict[str, list[Mapping[str, object]]] = {}
    for member in tier.members():
        progress.start(f"validate {member.name}", len(rows))
        said_BW = asked.ask(member, rows, progress)
        progress.finish()
        asked.keep(folder, member.name, said_BW)
        outputs: Batch = {next(iter(data.task.outputs)): said_BW}
        scores[member.name] = [asdict(m) for m in data.task.score(data.task.decode(outputs, judged), judged)] if rows else []
    write_json(folder / "measured" / "validation.json", scores)
