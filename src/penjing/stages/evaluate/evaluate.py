"""exported tiers, cascade, test rows → a report: everything that could answer, measured by every check. Measures; the gate judges.

Each tier is asked the test rows once; what a blend or a cascade would have answered follows from that, and is compared with running it.

Layout of the folder: `measured/report.json` (see core/report.py; gates, override and recommendation are added by the stages that follow).

Shapes: B rows, W width of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core import asked, notice, plugins, report
from penjing.core.cascade import Cascade, Predictors, output_of
from penjing.core.errors import DataError, RunFailed
from penjing.core.files import read_json, write_json
from penjing.core.protocols import Check, Predictor, Progress, Subject, Task
from penjing.core.snapshot import Snapshot, answers
from penjing.core.tier import Tier
from penjing.core.types import Batch, Measurement, NDArray, Row
from penjing.stages.evaluate import prices
from penjing.stages.evaluate.prices import PriceConfig
from penjing.stages.evaluate.promised import Promised
from penjing.stages.evaluate.reliability import reliability
from penjing.stages.evaluate.slices import confusion, slices

OF_OUTPUTS = ("ranking", "calibration")
"""Made of what was said of the test rows, beside the task's scores."""
CHECKS = ("speed", "size", "energy")
"""Made of everything that could answer, after its quality."""
TIMED = 4096
"""Rows that are drawn to be timed: no check asks for more."""
SAME = 64
"""Rows on which a cascade that runs is compared with what follows from its tiers' answers, and by which the work of a tier is weighed."""


def evaluate(
    price: PriceConfig,
    serves: str | None,
    data: Snapshot,
    learnt: Mapping[str, Path],
    exported: Mapping[str, Path],
    calibrated: Path,
    folder: Path,
    progress: Progress,
) -> None:
    """Measure every exported tier, the reference and the cascade on the test rows and write the report.

    serves: what is to answer, where the user has said so. Raises DataError where there are no test rows, BadRequest for an unknown `serves`.
    """
    evaluation = _Evaluation(data, learnt, exported, calibrated, progress)
    serves = evaluation.predictors.of(serves)["name"]
    board = [evaluation.entry(name) for name in evaluation.names]
    credit = {name: data.task.credit({evaluation.output: evaluation.answers[name]}, evaluation.judged) for name in evaluation.names}
    steps = prices.steps(board, credit, price, "+".join(evaluation.calibration["reference"]))
    promised = evaluation.promised(board)
    described = read_json(data.folder / "data.json")
    found = {
        "format": report.FORMAT,
        "task": described["task"]["name"],
        "target": data.task.target,
        "columns": data.columns,
        "counts": {split: rows for split, rows in data.counts.items() if rows},
        "dropped": described["dropped"],
        "baseline": evaluation.baseline(),
        "leaks": evaluation.leaks(),
        "leaderboard": board,
        "reliability": evaluation.reliability(),
        "cascade": promised.described(),
        "prices": steps,
        "confusion": evaluation.confusion(serves),
        "slices": slices(data.task, credit[serves], evaluation.rows, data.columns),
        "gates": [],
        "override": None,
        "serves": serves,
        "recommends": "",
        "says": report.comparisons(steps),
        "warnings": [*described["warnings"], *evaluation.calibration["notices"], *evaluation.unlike(), *promised.broken()],
    }
    write_json(folder / "measured" / "report.json", found)


class _Evaluation:
    """The test rows and what everything said of them."""

    def __init__(self, data: Snapshot, learnt: Mapping[str, Path], exported: Mapping[str, Path], calibrated: Path, progress: Progress) -> None:
        self.data, self.task, self.learnt, self.calibrated, self.progress = data, data.task, learnt, calibrated, progress
        self.output, _ = output_of(data.task)
        self.rows = data.rows("test")
        self.judged = answers(self.rows, self.task)
        if not self.rows:
            raise DataError("There are no test rows to measure on. Set data.test to a share of the rows or a file.")
        self.calibration: dict[str, Any] = read_json(calibrated / "calibration.json")
        self.predictors = Predictors.read(calibrated / "cascade.json")
        members = [(member, whole) for whole, folder in exported.items() for member in Tier.open(folder).members()]
        members.sort(key=lambda found: found[0].work(self.rows[:SAME]))
        self.tiers = {member.name: member for member, _ in members}
        self.places = {member.name: whole for member, whole in members}
        self.exported = exported
        self.said = {name: self._asked(tier) for name, tier in self.tiers.items()}
        cascades = {name: Cascade.read(self.predictors.of(name), self.tiers) for name in self.predictors.described}
        # Cheapest first: tiers by their work, then the reference where it is a blend, then the cascade.
        self.names = [*self.tiers, *(name for name in cascades if name not in self.tiers)]
        self.cascades = {name: cascades[name] for name in self.names}
        self.answers = {name: cascade.from_said(self.said)[0] for name, cascade in self.cascades.items()}

    def entry(self, name: str) -> dict[str, Any]:
        """Return a line of the leaderboard."""
        cascade = self.cascades[name]
        wholes = list(dict.fromkeys(self.places[tier] for tier in cascade.tiers))
        training = [read_json(self.learnt[whole] / "measured" / "training.json") for whole in wholes]
        single = name in self.tiers
        kind = "tier" if single else "cascade" if len(cascade.steps) > 1 else "reference"
        if kind == "cascade":
            self._compare(cascade)
        measured = [asdict(m) for m in scored(self.task, {self.output: self.answers[name]}, self.judged)] + self._measured(cascade, wholes)
        place = self.exported[wholes[0]] / "measured"
        return {
            "tier": name,
            "kind": kind,
            "of": list(cascade.tiers),
            "seconds_to_learn": round(sum(t["seconds"] for t in training), 3),
            "energy_to_learn": _summed([t["energy"] for t in training]),
            "validation": read_json(place / "validation.json")[name] if single else [],
            "parity": read_json(place / "parity.json")[name] if single else [],
            "measurements": measured,
        }

    def promised(self, board: Sequence[Mapping[str, Any]]) -> Promised:
        rates = {entry["tier"]: report.figure(entry, "predictions_per_second") for entry in board}
        seconds = {name: 1 / rate["value"] for name, rate in rates.items() if rate and name in self.tiers}
        return Promised(self.tiers, self.calibration, self.predictors, self.said, self.judged, seconds)

    def reliability(self) -> dict[str, Any]:
        found = {name: reliability(self.cascades[name], self.said[name], self.judged) for name in self.tiers}
        return {name: told for name, told in found.items() if told}

    def confusion(self, name: str) -> dict[str, Any] | None:
        return confusion(self.task, self.task.decode({self.output: self.answers[name]}, self.judged), self.judged)

    def baseline(self) -> list[dict[str, Any]]:
        return [asdict(m) for m in plugins.load("checks", "baseline")(self._subject(), answers(self.data.rows("train"), self.task))]

    def leaks(self) -> list[dict[str, Any]]:
        def seen() -> Iterator[Sequence[Row]]:
            for split in ("train", "validation", "calibration", "unlabelled"):
                yield from self.data.chunks(split)

        return [asdict(m) for m in plugins.load("checks", "leaks")(self._subject(), seen())]

    def unlike(self) -> list[str]:
        """Return what is said of test rows that are unlike the calibration rows."""
        theirs = np.load(self.calibrated / "measured" / "reference-of-calibration.npy", allow_pickle=False)
        return notice.unlike(self.task, "calibration", theirs, "test", self.answers["+".join(self.calibration["reference"])])

    def _asked(self, tier: Tier) -> NDArray:
        self.progress.start(f"measure {tier.name}", len(self.rows))
        said_BW = asked.ask(tier, self.rows, self.progress)
        self.progress.finish()
        return said_BW

    def _measured(self, cascade: Cascade, wholes: Sequence[str]) -> list[dict[str, Any]]:
        self.progress.start(f"time {cascade.name}", 0)
        found = checked(cascade, self.rows, self.exported[wholes[0]])
        for i, measurement in enumerate(found):
            if measurement.name == "size_bytes":
                sizes = [plugins.load("checks", "size")(self._subject(self.exported[whole]))[0].value for whole in wholes]
                found[i] = replace(measurement, value=float(sum(sizes)))
        self.progress.finish()
        return [asdict(m) for m in found]

    def _compare(self, cascade: Cascade) -> None:
        """Raise RunFailed where a cascade that runs answers otherwise than its tiers' answers say."""
        rows = self.rows[:SAME]
        ran = cascade.outputs(rows)
        follows: Batch = {self.output: self.answers[cascade.name][: len(rows)]}
        if (same := self.task.agreement(ran, follows).mean()) < 1 - 1 / SAME:
            raise RunFailed(f"The cascade answers {same:.0%} of {len(rows)} rows as its tiers' answers say it should. Please report this fault.")

    def _subject(self, folder: Path | None = None) -> Subject:
        tier = next(iter(self.tiers.values()))
        return Subject(self.task, self.rows, tier.outputs, tier.predict, folder or self.data.folder)


def measure(predictor: Predictor, rows: Sequence[Row], folder: Path, progress: Progress) -> list[dict[str, Any]]:
    """Return the scores of `predictor`, which lies in `folder`, on labelled `rows`, and what every check measures. Raises DataError without rows."""
    if not rows:
        raise DataError("There are no rows to measure on.")
    progress.start(f"measure {predictor.name}", len(rows))
    outputs: Batch = {output_of(predictor.task)[0]: asked.ask(predictor, rows, progress)}
    progress.finish()
    return [asdict(m) for m in [*scored(predictor.task, outputs, rows), *checked(predictor, rows, folder)]]


def scored(task: Task, outputs: Batch, rows: Sequence[Row]) -> list[Measurement]:
    """Return the scores of a predictor that gave `outputs` for `rows`, and what is measured of the outputs themselves."""
    predictions = task.decode(outputs, rows)
    subject = Subject(task, rows, lambda _: outputs, lambda _: predictions, Path())
    return [*task.score(predictions, rows), *(m for name in OF_OUTPUTS for m in plugins.load("checks", name)(subject))]


def checked(predictor: Predictor, rows: Sequence[Row], folder: Path) -> list[Measurement]:
    """Return what every check measures of `predictor` itself, running."""
    # The first rows are the ones that are timed, and a file sorted by its answers would make them all easy or all hard.
    order = np.random.default_rng(0).permutation(len(rows))[:TIMED].tolist()
    held = {i: rows[i] for i in sorted(order)}  # in the order of the file, which is read in groups
    drawn = [held[i] for i in order]
    subject = Subject(predictor.task, drawn, predictor.outputs, predictor.predict, folder)
    found: list[Measurement] = []
    for name in CHECKS:
        check: Check = plugins.load("checks", name)
        found += check(subject)
    return found


def _summed(energies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    totals = {key: sum(energy[key] for energy in energies) for key in ("joules", "low", "high")}
    return {**totals, "method": energies[0]["method"], "measured": all(energy["measured"] for energy in energies)}
