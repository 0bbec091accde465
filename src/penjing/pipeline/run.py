"""The whole life in one screen: read `run` first.

Every step is a stage's function put to work by core.artefacts: what is finished is not done again, and what was killed goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from penjing.core.artefacts import Artefact, locked, make
from penjing.core.files import read_json, write_json, write_text
from penjing.core.protocols import Progress, Signer, Silent
from penjing.core.snapshot import Snapshot
from penjing.core.tiers import TierConfig
from penjing.pipeline.config import Config, as_yaml, schema
from penjing.stages.evaluate import evaluate
from penjing.stages.export import export
from penjing.stages.pack import Packed, pack
from penjing.stages.plan import Plan, plan
from penjing.stages.prepare.prepare import prepare, sources_digest
from penjing.stages.train import train

Until = Literal["prepare", "train", "evaluate", "pack"]


@dataclass
class Run:
    """One execution of the pipeline: its folder, what it depends on, and what has been made so far."""

    folder: Path
    config: Config
    signer: Signer
    progress: Progress
    made: dict[str, Artefact] = field(default_factory=dict)
    """Finished stages by name: `prepare`, `train/TIER`, `export/TIER`, `evaluate`."""
    packed: Packed | None = None

    @property
    def data(self) -> Snapshot:
        return Snapshot.open(self.made["prepare"].folder)

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = read_json(self.made["evaluate"].folder / "measured" / "report.json")
        return report


def run(config: Config, folder: Path, signer: Signer, progress: Progress | None = None, until: Until = "pack") -> Run:
    """Take the user's data to a signed package in `folder`; stop after the stage `until`."""
    this = Run(folder, config, signer, progress or Silent())
    with locked(folder):
        _prepare(this)
        if until == "prepare":
            return this
        for tier in _plan(this).tiers:
            _train(this, tier)
            _export(this, tier)
        if until == "train":
            return this
        _evaluate(this)
        if until == "evaluate":
            return this
        _pack(this)
    return this


def _prepare(this: Run) -> None:
    config, data = this.config, this.config.data
    depends = {**data.model_dump(mode="json"), "task": config.task, "seed": config.seed, "files": sources_digest(data)}
    _make(this, "prepare", depends, {}, lambda folder: prepare(data, config.task, config.seed, folder, this.progress))


def _plan(this: Run) -> Plan:
    config, data = this.config, this.data
    planned = plan(config.climbed, config.tiers is not None, data, this.folder)
    for name, why in planned.left_out.items():
        this.progress.say(f"Left out, tier {name!r}: {why}")
    write_json(this.folder / "plan.json", planned.as_json())
    # What was inferred is written down, so that the same file asks for the same run.
    inferred = {"text": data.columns, "target": data.task.target}
    resolved = config.model_copy(
        update={"data": config.data.model_copy(update=inferred), "task": _task_name(this), "tiers": planned.tiers},
    )
    write_text(this.folder / "penjing.yaml", as_yaml(resolved))
    write_text(this.folder / "penjing.schema.json", schema())
    return planned


def _train(this: Run, tier: TierConfig) -> None:
    depends = {**tier.dump(), "seed": this.config.seed}
    cache = this.folder / "cache"
    _make(this, f"train/{tier.name}", depends, {"data": "prepare"}, lambda f: train(tier, this.data, this.config.seed, f, cache, this.progress))


def _export(this: Run, tier: TierConfig) -> None:
    learnt = this.made[f"train/{tier.name}"]
    inputs = {"data": "prepare", "learnt": f"train/{tier.name}"}
    exported = _make(this, f"export/{tier.name}", {}, inputs, lambda f: export(learnt.folder, this.data, f, this.progress))
    agreement, difference = read_json(exported.folder / "measured" / "parity.json")
    this.progress.say(
        f"Tier {tier.name!r} is learnt ({learnt.seconds + exported.seconds:.1f} s) and usable. "
        f"Parity learnt → exported: {agreement['value']:.1%} of {agreement['n']} rows, largest difference {difference['value']:.1e}."
    )


def _evaluate(this: Run) -> None:
    learnt = {n.removeprefix("train/"): a.folder for n, a in this.made.items() if n.startswith("train/")}
    exported = {name: this.made[f"export/{name}"].folder for name in learnt}
    inputs = {"data": "prepare", **{f"export/{name}": f"export/{name}" for name in learnt}}
    _make(this, "evaluate", {}, inputs, lambda folder: evaluate(this.data, learnt, exported, folder, this.progress))


def _pack(this: Run) -> None:
    exported = {n.removeprefix("export/"): a for n, a in this.made.items() if n.startswith("export/")}
    place = this.folder / "package"
    config, settings = this.config, this.config.serve.model_dump(mode="json")
    name = this.folder.resolve().name
    this.packed = pack(config.pack, this.data, exported, this.made["evaluate"], settings, place, name, this.signer, this.progress)
    agreement, difference = this.packed.parity
    this.progress.say(
        f"Signed package: {place} (model {this.packed.package.manifest.model[:12]}, by {this.packed.package.signed_by}). "
        f"Parity exported → packaged: {agreement.value:.1%} of {agreement.n} rows, largest difference {difference.value:.1e}."
    )


def _make(this: Run, stage: str, depends: Mapping[str, Any], inputs: Mapping[str, str], work: Callable[[Path], None]) -> Artefact:
    made = make(this.folder / stage, stage, depends, {name: this.made[of] for name, of in inputs.items()}, work)
    if made.reused:
        this.progress.say(f"Stage {stage}: done before, not done again.")
    this.made[stage] = made
    return made


def _task_name(this: Run) -> str:
    name: str = read_json(this.made["prepare"].folder / "data.json")["task"]["name"]
    return name
