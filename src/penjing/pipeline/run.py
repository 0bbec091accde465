"""The whole life in one screen: read `run` first.

Every step is a stage's function put to work by core.artefacts: what is finished is not done again, and what was killed goes on. A gate
follows each hand-over, and one the report; the signature comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from penjing.core import plugins
from penjing.core.allowance import Allowance
from penjing.core.artefacts import Artefact, locked, make
from penjing.core.cascade import NAME as CASCADE
from penjing.core.errors import ConfigError, GateClosed, PlanError, nearest
from penjing.core.files import read_json, write_json, write_text
from penjing.core.learning.sinks import Log
from penjing.core.learning.tiers import REFERENCE, TierConfig
from penjing.core.machine import Machine, forget_peak, peak_bytes
from penjing.core.protocols import Predictor, Progress, Signer, Silent
from penjing.core.report import recommendation
from penjing.core.snapshot import Snapshot
from penjing.core.tasks import TaskConfig
from penjing.core.tier import Tier, whole_of
from penjing.core.types import Estimate, Measurement
from penjing.pipeline.config import Config, as_yaml, schema
from penjing.pipeline.probe import Probe
from penjing.stages import gate
from penjing.stages.budget import Climb, nothing_left
from penjing.stages.calibrate.calibrate import calibrate, reference, refuse_impossible
from penjing.stages.evaluate.evaluate import evaluate
from penjing.stages.export import credit, difference, export
from penjing.stages.gate import Override
from penjing.stages.pack import Packed, pack
from penjing.stages.plan import Plan, beside, plan
from penjing.stages.prepare.prepare import prepare, sources_digest
from penjing.stages.report.learning import learning
from penjing.stages.report.report import write_report
from penjing.stages.train import Conduct, train

Until = Literal["prepare", "plan", "train", "calibrate", "evaluate", "pack"]


@dataclass
class Run:
    """One execution of the pipeline: its folder, what it depends on, and what has been made so far."""

    folder: Path
    config: Config
    signer: Signer
    progress: Progress
    override: Override | None = None
    """Who answers for limits that do not hold."""
    made: dict[str, Artefact] = field(default_factory=dict)
    """Finished stages by name: `prepare`, `train/TIER`, `export/TIER`, `calibrate`, `evaluate`, `report`."""
    packed: Packed | None = None

    @property
    def data(self) -> Snapshot:
        return Snapshot.open(self.made["prepare"].folder)

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = read_json(self.made["report"].folder / "report.json")
        return report

    @property
    def climbed(self) -> list[TierConfig]:
        """The tiers that the user named, or those of the kind of data."""
        if self.config.tiers is not None:
            return self.config.tiers
        return [TierConfig.parse(tier) for tier in plugins.load("inputs", self.data.task.inputs).tiers]

    @property
    def plan(self) -> dict[str, Any]:
        """What plan.json says."""
        told: dict[str, Any] = read_json(self.folder / "plan.json")
        return told

    @property
    def actual(self) -> dict[str, Any]:
        """What actual.json says of the tiers that were learnt; empty where none was."""
        place = self.folder / "actual.json"
        told: dict[str, Any] = read_json(place) if place.exists() else {}
        return told

    @property
    def budget(self) -> dict[str, Any]:
        return self.config.budget.model_dump(mode="json")

    def climb(self) -> Climb:
        """Return a climb of which nothing is spent."""
        return Climb(self.config.budget, self.config.price.electricity, self.config.price.machine)

    def of(self, stage: str) -> dict[str, Artefact]:
        """Return the finished artefacts of `stage`, train or export, by tier."""
        return {name.removeprefix(f"{stage}/"): made for name, made in self.made.items() if name.startswith(f"{stage}/")}

    def folders(self, stage: str) -> dict[str, Path]:
        """Return where they lie."""
        return {name: made.folder for name, made in self.of(stage).items()}


def run(
    config: Config, folder: Path, signer: Signer, progress: Progress | None = None, until: Until = "pack", override: Override | None = None
) -> Run:
    """Take the user's data to a signed package in `folder`; stop after the stage `until`. Raises GateClosed where a limit does not hold."""
    this = Run(folder, config, signer, progress or Silent(), override)
    with locked(folder):
        _prepare(this)
        if until == "prepare":
            return this
        planned = _plan(this, always=until == "plan")
        if until == "plan":
            return this
        _climb(this, planned)
        if until == "train":
            return this
        _calibrate(this)
        if until == "calibrate":
            return this
        _evaluate(this)
        _judge(this, insist=until == "pack")
        if until == "evaluate":
            return this
        _pack(this)
    return this


def _prepare(this: Run) -> None:
    config, data = this.config, this.config.data
    proves = config.tiers is None or len(config.tiers) > 1 or any(getattr(tier.options, "exits", None) for tier in config.tiers)
    asked = config.task.dump() if config.task is not None else None
    depends = {**data.model_dump(mode="json"), "task": asked, "seed": config.seed, "files": sources_digest(data), "proves": proves}
    _make(this, "prepare", depends, {}, lambda folder: prepare(data, config.task, config.seed, folder, this.progress, proves))


def _plan(this: Run, always: bool) -> Plan:
    """Reckon what each tier will cost; always: with a trial of each, and not only where it matters."""
    config, data = this.config, this.data
    gate.refuse_unknown(config.release, gate.known_measurements(data.task, data.rows("train")[:1]))
    _check_answers(this)
    config.log.refuse_missing()
    refuse_impossible(config.cascade, data.task)
    tries = Probe(data, this.folder / "cache", config.seed, this.progress).tried
    planned = plan(this.climbed, config.tiers is not None, data, this.folder, tries, this.climb(), always, config.distributed.count)
    for what, tiers in (("Left out", planned.left_out), ("Made cheaper", planned.changed), ("Too dear", planned.too_dear)):
        for name, why in tiers.items():
            this.progress.say(f"{what}, tier {name!r}: {why}")
    for name, estimate in planned.estimates.items():
        if estimate.told:
            this.progress.say(f"Tier {name!r}: {estimate.told}")
    if said := config.distributed.refused({tier.name: tier.options for tier in planned.tiers}, Machine.here().cores):
        this.progress.say(said)
    costs = {name: this.climb().costs(estimate) for name, estimate in planned.estimates.items()}
    write_json(this.folder / "plan.json", planned.as_json() | {"costs": costs, "currency": config.price.currency})
    # What was inferred is written down, so that the same file asks for the same run.
    inferred = {"columns": data.columns, "target": data.task.target}
    resolved = config.model_copy(
        update={"data": config.data.model_copy(update=inferred), "task": _task(this), "tiers": planned.tiers},
    )
    write_text(this.folder / "penjing.yaml", as_yaml(resolved))
    write_text(this.folder / "penjing.schema.json", schema())
    return planned


def _check_answers(this: Run) -> None:
    """Refuse a pack.tier that no tier, early exit or blend of the tiers can be, before anything is spent."""
    names = [tier.name for tier in this.climbed]
    promise, rows = this.config.cascade.promise, this.data.counts["calibration"]
    if this.config.pack.tier == CASCADE and rows < promise.rows_needed:
        raise PlanError(
            f"pack.tier is {CASCADE!r}, and {rows} calibration rows cannot prove its promise: at least {promise.rows_needed} are needed. "
            "Add rows, raise data.calibration, or ask for less under cascade."
        )
    exits = {f"{tier.name}@exit-{depth}" for tier in this.climbed for depth in getattr(tier.options, "exits", None) or ()}
    for part in (this.config.pack.tier or "").split("+"):
        if part and part != CASCADE and whole_of(part) not in names:
            raise ConfigError(f"pack.tier is {this.config.pack.tier!r}, and there is no such tier. {nearest(part, [*names, CASCADE])}")
        if "@" in part and part not in exits:
            raise ConfigError(f"pack.tier is {this.config.pack.tier!r}, and there is no such early exit. {nearest(part, exits)}")


def _climb(this: Run, planned: Plan) -> None:
    """Learn and export the tiers, those with a teacher last, as far as the budget goes."""
    climb = this.climb()
    left_out: dict[str, str] = {}
    for tier in sorted(planned.tiers, key=lambda tier: tier.teacher is not None):
        if why := _untaught(this, tier) or climb.refuses(planned.estimates[tier.name], step_up=tier.teacher is None):
            left_out[tier.name] = why
            this.progress.say(f"Not learnt, tier {tier.name!r}: {why}")
            continue
        estimate = planned.estimates[tier.name]
        estimate, allowance = replace(estimate, watts=climb.watts(estimate)), climb.allowance(estimate)
        forget_peak()
        _train(this, tier, allowance)
        _export(this, tier)
        took = _took(this, tier, allowance, estimate)
        credit_B = credit(this.made[f"export/{tier.name}"].folder, this.data) if tier.teacher is None else None
        climb.learnt(tier.name, took["seconds"], took["joules"], credit_B)
    if not this.of("train"):
        raise nothing_left(left_out)


def _took(this: Run, tier: TierConfig, allowance: Allowance, estimate: Estimate) -> dict[str, Any]:
    """Return what learning and exporting `tier` took, and write it down in actual.json, where what was done before is kept.

    estimate: what was reckoned; it stands there beside what came of it, since a plan made later may reckon otherwise.
    """
    learnt, exported, noted = this.made[f"train/{tier.name}"], this.made[f"export/{tier.name}"], this.actual
    training = read_json(learnt.folder / "measured" / "training.json")
    watts = training["energy"]["joules"] / max(training["seconds"], 1e-9)
    took = {"seconds": training["seconds"] + exported.seconds, "joules": training["energy"]["joules"] + watts * exported.seconds}
    seen = None if this.config.distributed.shares(tier.options) else peak_bytes()  # workers are processes of their own
    now = {"memory_bytes": seen, "stopped": allowance.stopped, "budget": this.budget, "keyed": keyed(noted.get(tier.name), this.budget)}
    before = noted.get(tier.name, {}) if learnt.reused else now | {"estimate": asdict(estimate)}
    noted[tier.name] = {"memory_bytes": None, "stopped": None, "estimate": asdict(estimate), **before, **took}
    write_json(this.folder / "actual.json", noted)
    return took


def keyed(noted: Mapping[str, Any] | None, budget: dict[str, Any]) -> dict[str, Any] | None:
    """Return the budget that a tier's result is known by: that of a tier which another budget stopped early is learnt again with this one.

    noted: what actual.json says of the tier. None for a tier that no budget has made to be learnt again.
    """
    if noted is None or (noted.get("stopped") is None or noted.get("budget") == budget):
        return (noted or {}).get("keyed")
    return budget


def _train(this: Run, tier: TierConfig, allowance: Allowance) -> None:
    depends = {**tier.dump(), "seed": this.config.seed}
    if (budget := keyed(this.actual.get(tier.name), this.budget)) is not None:
        depends["budget"] = budget
    distributed = this.config.distributed
    if distributed.shares(tier.options):
        depends["distributed"] = distributed.model_dump(mode="json")  # rounds otherwise than one worker
    log = Log(this.config.log, this.folder / "log", this.folder.resolve().name)
    conduct = Conduct(this.config.seed, this.folder / "cache", this.progress, log, distributed)
    inputs = {"data": "prepare", **{f"export/{name}": f"export/{name}" for name in _teachers(this, tier)}}
    _make(this, f"train/{tier.name}", depends, inputs, lambda f: train(tier, this.data, _teacher(this, tier), conduct, allowance, f))


def _teacher(this: Run, tier: TierConfig) -> Predictor | None:
    """Return what `tier` learns from beside the rows; None where it has no teacher."""
    if tier.teacher is None:
        return None
    folders = {name: this.folders("export")[name] for name in _teachers(this, tier)}
    return reference(this.data, folders, this.progress) if tier.teacher == REFERENCE else Tier.open(folders[tier.teacher])


def _teachers(this: Run, tier: TierConfig) -> list[str]:
    """Return the tiers that the teacher of `tier` is made of."""
    if tier.teacher == REFERENCE:
        return [name for name in this.of("export") if name not in _pupils(this)]
    return [] if tier.teacher is None else [tier.teacher]


def _untaught(this: Run, tier: TierConfig) -> str | None:
    """Return why there is nobody to teach `tier`, or None."""
    learnt = this.of("export").keys() - _pupils(this)
    if tier.teacher is None or tier.teacher in learnt or (tier.teacher == REFERENCE and learnt):
        return None
    return f"its teacher {tier.teacher!r} is not learnt."


def _pupils(this: Run) -> set[str]:
    return {tier.name for tier in this.climbed if tier.teacher is not None}


def _export(this: Run, tier: TierConfig) -> None:
    learnt, data = this.made[f"train/{tier.name}"], this.data
    inputs = {"data": "prepare", "learnt": f"train/{tier.name}"}
    exported = _make(this, f"export/{tier.name}", {}, inputs, lambda f: export(learnt.folder, data, f, this.progress))
    for member, measured in read_json(exported.folder / "measured" / "parity.json").items():
        why = partial(difference, learnt.folder, data, exported.folder)
        gate.held(measured, f"learnt → exported of tier {member!r}", why, this.config.release, this.override)
        this.progress.say(f"Tier {member!r} is learnt ({learnt.seconds + exported.seconds:.1f} s) and usable. {_told(measured, 'learnt → exported')}")


def _calibrate(this: Run) -> None:
    config, exported = this.config.cascade, this.folders("export")
    inputs = {"data": "prepare", **{f"export/{name}": f"export/{name}" for name in exported}}
    _make(this, "calibrate", config.model_dump(mode="json"), inputs, lambda f: calibrate(config, this.data, exported, f, this.progress))


def _evaluate(this: Run) -> None:
    learnt, exported = this.folders("train"), this.folders("export")
    inputs = {"data": "prepare", "calibrate": "calibrate", **{f"export/{name}": f"export/{name}" for name in learnt}}
    price, serves, calibrated = this.config.price, this.config.pack.tier, this.made["calibrate"].folder
    depends = {"price": price.model_dump(mode="json"), "serves": serves}
    _make(this, "evaluate", depends, inputs, lambda f: evaluate(price, serves, this.data, learnt, exported, calibrated, f, this.progress))


def _judge(this: Run, insist: bool) -> None:
    """Write the report with its verdicts; then, where it is to be packed, raise GateClosed if a limit does not hold."""
    found = read_json(this.made["evaluate"].folder / "measured" / "report.json")
    verdicts = gate.judge(found, this.config.release)
    found |= gate.told(verdicts, this.override)
    limits = {name: limit.described() for name, limit in this.config.release.items()}
    found["recommends"] = recommendation(found, limits)
    found["learning"] = learning(this.folders("train"), beside({name: this.actual[name] for name in this.of("train")}))
    told = {name: found[name] for name in ("gates", "override", "learning")}
    depends = {"evaluated": this.made["evaluate"].measured, "limits": limits, **told}
    made = _make(this, "report", depends, {"evaluate": "evaluate"}, lambda folder: write_report(found, folder))
    this.progress.say(f"Report: {made.folder / 'report.html'}")
    try:
        if insist:
            gate.insist(verdicts, this.override)
    except GateClosed as closed:
        closed.report = found
        raise


def _pack(this: Run) -> None:
    place, config = this.folder / "package", this.config
    exported, calibrated, settings = this.of("export"), this.made["calibrate"], config.serve.model_dump(mode="json")
    name = this.folder.resolve().name
    report, where = this.made["report"], "exported → packaged"

    def hold(measured: Sequence[Measurement], why: Callable[[], str | None]) -> None:
        # No override here: the report that it would have to stand in is among what is being packed.
        gate.held([asdict(m) for m in measured], where, why, config.release)

    packed = this.packed = pack(config.pack, this.data, exported, calibrated, report, settings, place, name, this.signer, hold, this.progress)
    this.progress.say(
        f"Signed package: {place} (model {packed.package.manifest.model[:12]}, by {packed.package.signed_by}). "
        f"{_told([asdict(m) for m in packed.parity], where)}"
    )


def _told(measured: list[dict[str, Any]], where: str) -> str:
    agreement, difference, *_ = measured
    return f"Parity {where}: {agreement['value']:.1%} of {agreement['n']} rows, largest difference {difference['value']:.1e}."


def _make(this: Run, stage: str, depends: Mapping[str, Any], inputs: Mapping[str, str], work: Callable[[Path], None]) -> Artefact:
    made = make(this.folder / stage, stage, depends, {name: this.made[of] for name, of in inputs.items()}, work)
    if made.reused:
        this.progress.say(f"Stage {stage}: done before, not done again.")
    this.made[stage] = made
    return made


def _task(this: Run) -> TaskConfig:
    name: str = read_json(this.made["prepare"].folder / "data.json")["task"]["name"]
    return TaskConfig(name, this.config.task.options if this.config.task is not None else {})
