"""A predictor made of tiers, cheapest first: a step answers the rows that it is sure of and defers the rest to the next.

What cheaper tiers said is kept: a step's answer is a blend of the tiers that have run. Deferred rows are encoded again only where the
processor differs, and an early exit's state is handed to the tier that goes on from it. Decides nothing about thresholds: they come from
stages/calibrate. A cascade of one step is a tier or a blend alone, calibrated.

Layout of `cascade.json`: {format, serves: name, predictors: {name: Cascade as JSON}}.

Shapes: B rows, W width of the output, G groups of answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core.blend import Blend
from penjing.core.errors import BadRequest, RunFailed, nearest
from penjing.core.files import read_json, write_json
from penjing.core.flow import Flow
from penjing.core.protocols import Task
from penjing.core.reasons import add_reasons
from penjing.core.tier import Tier, packed, whole_of
from penjing.core.types import Batch, NDArray, Prediction, Row, Spec

NAME = "cascade"
FORMAT = 1
NEVER = 2.0
"""A threshold that no confidence reaches."""


@dataclass(frozen=True)
class Step:
    """What is asked of the rows that have come so far."""

    tiers: tuple[str, ...]
    """Tiers that have run when it answers, in the order they run."""
    blend: Blend
    """Over some or all of them."""
    thresholds: NDArray
    """(1,) or (G,) least confidence of an answer that is not deferred, for all or for each class answered; empty for the last step."""

    def sure(self, task: Task, outputs: Batch, logits_BW: NDArray) -> NDArray:
        """Return (B,) bool: which rows it answers."""
        if not len(self.thresholds):
            return np.ones(len(logits_BW), np.bool_)
        least = self.thresholds if len(self.thresholds) == 1 else self.thresholds[logits_BW.argmax(axis=1)]
        sure: NDArray = task.confidence(outputs) >= least
        return sure

    def described(self) -> dict[str, Any]:
        return {"tiers": list(self.tiers), "blend": self.blend.described(), "thresholds": self.thresholds.tolist()}


@dataclass(frozen=True)
class Cascade:
    """Rows → predictions, with no more of its tiers than each row needs. Raises BadRequest where its tiers do not belong together."""

    name: str
    tiers: Mapping[str, Tier]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        first = next(iter(self.tiers.values()))
        for tier in self.tiers.values():
            if packed("tasks", tier.task) != packed("tasks", first.task):
                raise BadRequest(
                    f"The tiers {first.name!r} and {tier.name!r} do not share a task, so they cannot be one cascade. "
                    "Learn them in one run, from the same data and for the same target."
                )

    @property
    def task(self) -> Task:
        return next(iter(self.tiers.values())).task

    def outputs(self, rows: Sequence[Row]) -> Batch:
        return self._answered(rows)[0]

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        """Return one prediction a row, each with the names of the tiers whose blend made it."""
        if not rows:
            return []
        return self.told(rows, *self._answered(rows))

    def told(self, rows: Sequence[Row], outputs: Batch, step_B: NDArray) -> list[Prediction]:
        """Return what `outputs`, each from the step of this number, tell whoever asked."""
        predictions = self.task.decode(outputs, rows)
        add_reasons(self.task, self.outputs, rows, outputs, predictions)
        for prediction, step in zip(predictions, step_B.tolist(), strict=True):
            prediction["tier"] = self.steps[step].blend.name
        return predictions

    def lengths(self, flow: Flow) -> NDArray:
        """Return (B,) int64: the longest sequence of each row that the step it has come to goes through. The rows are encoded for that, once."""
        lengths_B = np.ones(len(flow.rows), np.int64)
        for tier in self._new(flow):
            lengths_B = np.maximum(lengths_B, flow.lengths(tier.processor))
        return lengths_B

    def advance(self, flow: Flow) -> tuple[Batch, NDArray]:
        """Run the step that `flow` has come to: return its outputs, and (B,) bool, which rows it is sure of."""
        name, _ = output_of(self.task)
        for tier in self._new(flow):
            flow.ask(tier, name)
        step = self.steps[flow.step]
        logits_BW = step.blend.apply(flow.said)
        return {name: logits_BW}, step.sure(self.task, {name: logits_BW}, logits_BW)

    def warm(self) -> None:
        for tier in self.tiers.values():
            tier.warm()

    def from_said(self, said: Mapping[str, NDArray]) -> tuple[NDArray, NDArray]:
        """Return (B, W) logits and the (B,) step that gave each, from what every tier said of every row: the same as running it."""
        name, _ = output_of(self.task)
        answers = [step.blend.apply(said) for step in self.steps]
        step_B = np.full(len(answers[0]), len(self.steps) - 1)
        for i in reversed(range(len(self.steps) - 1)):
            step_B[self.steps[i].sure(self.task, {name: answers[i]}, answers[i])] = i
        return np.stack(answers)[step_B, np.arange(len(step_B))], step_B

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"name": self.name, "tiers": list(self.tiers), "steps": [step.described() for step in self.steps]}

    @classmethod
    def read(cls, described: Mapping[str, Any], tiers: Mapping[str, Tier]) -> Cascade:
        """Return what `described` told, made of `tiers`. Raises BadRequest where one is missing."""
        if missing := [name for name in described["tiers"] if name not in tiers]:
            raise BadRequest(f"The cascade needs the tier {missing[0]!r}, which is not there (found: {', '.join(tiers)}). Pack the run again.")
        chosen = {name: tiers[name] for name in described["tiers"]}
        _, spec = output_of(next(iter(chosen.values())).task)
        steps = tuple(
            Step(tuple(step["tiers"]), Blend.read(step["blend"], spec.link), np.asarray(step["thresholds"], np.float64))
            for step in described["steps"]
        )
        return cls(described["name"], chosen, steps)

    def _answered(self, rows: Sequence[Row]) -> tuple[Batch, NDArray]:
        """Return the outputs of all rows and the (B,) step that gave each."""
        name, spec = output_of(self.task)
        out_BW, step_B = np.empty((len(rows), spec.width), np.float32), np.empty(len(rows), np.int64)
        flow, places = Flow(rows), np.arange(len(rows))
        while len(places):
            outputs, sure_B = self.advance(flow)
            out_BW[places[sure_B]], step_B[places[sure_B]] = np.asarray(outputs[name])[sure_B], flow.step
            if sure_B.all():
                break
            flow, places = flow.taken(np.flatnonzero(~sure_B), flow.step + 1), places[~sure_B]
        return {name: out_BW}, step_B

    def _new(self, flow: Flow) -> list[Tier]:
        """Return the tiers that the step of `flow` asks and that have not run."""
        return [self.tiers[name] for name in self.steps[flow.step].tiers if name not in flow.said]


@dataclass(frozen=True)
class Predictors:
    """What a calibrated run or a package can answer with."""

    serves: str
    described: Mapping[str, Any]
    """Each cascade as JSON, by its name."""

    @classmethod
    def read(cls, path: Path) -> Predictors:
        """Raises BadRequest for another format, RunFailed where there is none."""
        try:
            told = read_json(path)
        except FileNotFoundError as error:
            raise RunFailed(f"{path} is missing. Run the same command again: it goes on from there.") from error
        if told.get("format") != FORMAT:
            raise BadRequest(f"{path} is of format {told.get('format')!r}; this Penjing reads format {FORMAT}. Use the Penjing that made it.")
        return cls(told["serves"], told["predictors"])

    def write(self, path: Path) -> None:
        write_json(path, {"format": FORMAT, "serves": self.serves, "predictors": dict(self.described)})

    def of(self, name: str | None) -> dict[str, Any]:
        """Return the cascade called `name`, or the one that answers, as JSON. Raises BadRequest, nearest name offered."""
        wanted = self.serves if name is None else name
        if wanted == NAME and NAME not in self.described:
            raise BadRequest(f"There is no cascade here: {self.serves} answers every row. The report says why.")
        if wanted not in self.described:
            raise BadRequest(f"There is no tier or cascade {wanted!r} here. {nearest(wanted, self.described)}")
        found: dict[str, Any] = self.described[wanted]
        return found

    def open(self, folders: Mapping[str, Path], name: str | None = None) -> Cascade:
        """Return the cascade called `name`, or the one that answers, opening no tier that it does not need.

        folders: of each tier, by its name; its early exits are found in it. Raises BadRequest where one is missing.
        """
        described = self.of(name)
        tiers: dict[str, Tier] = {}
        for whole, folder in folders.items():
            if whole in map(whole_of, described["tiers"]):
                tiers |= {member.name: member for member in Tier.open(folder).members() if member.name in described["tiers"]}
        return Cascade.read(described, tiers)


def output_of(task: Task) -> tuple[str, Spec]:
    """Return the one output of `task`. Raises BadRequest where it has several, which no blend can join."""
    if len(task.outputs) != 1:
        raise BadRequest(
            f"A cascade needs a task with one output, and this one has {len(task.outputs)}: {', '.join(task.outputs)}. Serve a tier alone."
        )
    ((name, spec),) = task.outputs.items()
    return name, spec
