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
from penjing.core.protocols import Task
from penjing.core.reasons import add_reasons
from penjing.core.tier import Tier, packed, whole_of
from penjing.core.types import Batch, NDArray, Prediction, Row, Spec, take

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
        outputs, step_B = self._answered(rows)
        predictions = self.task.decode(outputs, rows)
        add_reasons(self.task, self.outputs, rows, outputs, predictions)
        for prediction, step in zip(predictions, step_B.tolist(), strict=True):
            prediction["tier"] = self.steps[step].blend.name
        return predictions

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
        waiting = _Waiting(rows, np.arange(len(rows)))
        for i, step in enumerate(self.steps):
            for tier in step.tiers:
                if tier not in waiting.said:
                    waiting.ask(self.tiers[tier], name)
            logits_BW = step.blend.apply(waiting.said)
            sure_B = step.sure(self.task, {name: logits_BW}, logits_BW)
            out_BW[waiting.places[sure_B]], step_B[waiting.places[sure_B]] = logits_BW[sure_B], i
            if sure_B.all():
                break
            waiting = waiting.kept(np.flatnonzero(~sure_B))
        return {name: out_BW}, step_B


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


class _Waiting:
    """Rows that have no answer yet, and what is known of them."""

    def __init__(self, rows: Sequence[Row], places: NDArray) -> None:
        self.rows, self.places = rows, places
        self.said: dict[str, NDArray] = {}
        """(B, W) logits of each tier that has run."""
        self.encoded: list[tuple[Any, Batch]] = []
        """Each processor with what it made of the rows."""
        self.states: dict[str, Batch] = {}
        """What a tier's early exits have computed, to be gone on with."""

    def ask(self, tier: Tier, output: str) -> None:
        whole = tier.whole or tier.name
        outputs = tier.engine.run({**self._batch(tier), **self.states.get(whole, {})})
        self.said[tier.name] = np.asarray(outputs[output])
        self.states[whole] = {name: array for name, array in outputs.items() if name not in tier.task.outputs}

    def _batch(self, tier: Tier) -> Batch:
        for processor, batch in self.encoded:
            if processor == tier.processor:
                return batch
        self.encoded.append((tier.processor, tier.processor.encode(self.rows)))
        return self.encoded[-1][1]

    def kept(self, which: NDArray) -> _Waiting:
        """Return what is left with the rows at `which`."""
        left = _Waiting([self.rows[i] for i in which], self.places[which])
        left.said = {name: logits[which] for name, logits in self.said.items()}
        left.encoded = [(processor, take(batch, which)) for processor, batch in self.encoded]
        left.states = {whole: take(state, which) for whole, state in self.states.items() if state}
        return left


def output_of(task: Task) -> tuple[str, Spec]:
    """Return the one output of `task`. Raises BadRequest where it has several, which no blend can join."""
    if len(task.outputs) != 1:
        raise BadRequest(
            f"A cascade needs a task with one output, and this one has {len(task.outputs)}: {', '.join(task.outputs)}. Serve a tier alone."
        )
    ((name, spec),) = task.outputs.items()
    return name, spec
