"""Finds the cascade that keeps a promise with the least work. Knows tiers and their answers; reads and writes no files.

Shapes: B rows, W width of the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core import asked, notice
from penjing.core.cascade import NAME, Cascade, Step, output_of
from penjing.core.protocols import Progress
from penjing.core.snapshot import Snapshot, answers
from penjing.core.tier import Tier
from penjing.core.types import NDArray, Row
from penjing.stages.calibrate.certificate import Keep, Promise, certified
from penjing.stages.calibrate.fitting import FEW
from penjing.stages.calibrate.path import Said, path
from penjing.stages.calibrate.reference import Blends, best

SAMPLE = 64
"""Rows by which the work of a tier is weighed."""
EVERY = 4
"""Tiers beside the reference up to which all choices of them are tried in a cascade; of more, none, one, two and all."""


@dataclass(frozen=True, slots=True)
class Found:
    """One promise and the cascade that keeps it."""

    keep: Keep
    limit: float
    confidence: float
    reference: list[str]
    why: str
    rows_needed: int
    cascade: dict[str, Any]
    """core.cascade.Cascade as JSON."""
    settings: list[list[list[float]]] = field(default_factory=list)
    """The path: thresholds of every cheap step, by setting, the most careful first."""
    order: list[str] = field(default_factory=list)
    """The tiers that the settings are of, in the order they run."""
    certified: int = 0
    """Settings, from the first, that are proved to keep the promise."""
    share: float = 0.0
    """Share of the calibration rows that the last of them answers before the last step."""


class Search:
    """The tiers with what they said, and the answers to what is asked of them more than once."""

    def __init__(self, per_class: bool, data: Snapshot, members: Mapping[str, tuple[Tier, Path]], progress: Progress) -> None:
        self.per_class, self.task, self.progress = per_class, data.task, progress
        self.output, self.spec = output_of(data.task)
        self.rows = {split: data.rows(split) for split in ("validation", "calibration")}
        sample = self.rows["validation"][:SAMPLE] or data.rows("train")[:SAMPLE]
        self.work = {name: tier.work(sample) for name, (tier, _) in members.items()}
        # Cheapest first, by multiplications and not by the clock: the same inputs must give the same cascade.
        names = sorted(members, key=lambda name: self.work[name])
        self.tiers = {name: members[name][0] for name in names}
        said = {name: asked.kept(members[name][1], name) for name in names}
        self.target = data.task.target_of(answers(self.rows["validation"], data.task)) if self.rows["validation"] else np.zeros(0, np.int64)
        self.blends = Blends(said, self.target, self.spec.link)
        self.calibration: dict[str, NDArray] = {}

    def found(self, promise: Promise) -> Found:
        """Return the cascade that keeps `promise`: the reference alone where no setting is proved."""
        reference = self.reference
        needed, whole = promise.rows_needed, self.alone(reference).described()
        alone = Found(promise.keep, promise.limit, promise.confidence, list(reference), "", needed, whole)
        why = self._impossible(reference, promise)
        if why:
            return replace(alone, why=f"{_answers(reference)} {why}".strip())
        order, settings = self._cheapest(reference, promise)
        if not settings:
            return replace(alone, why=f"{_answers(reference)} No cheaper tier would save work on the validation rows and keep the promise.")
        rows = len(self.rows["calibration"])
        if rows < promise.rows_needed:
            why = f"Handing rows to a cheaper tier cannot be proved harmless: {rows} calibration rows, and at least {promise.rows_needed} are needed"
            return replace(
                alone, why=f"{_answers(reference)} {why} {_told(promise)}. Add rows, raise data.calibration, or ask for less under cascade."
            )
        return self._proved(alone, order, settings, promise)

    def _impossible(self, reference: tuple[str, ...], promise: Promise) -> str | None:
        """Return why there is nothing to prove, or None where there is."""
        if len(self.target) < FEW:
            return f"{len(self.target)} validation rows are too few to blend or calibrate by."
        if len(self.tiers) == 1:
            return "It is the only tier."
        if reference == (next(iter(self.tiers)),):
            return "No tier is cheaper."
        if self.spec.link == "identity":
            return "A number does not say how sure it is, so no row is handed to a cheaper tier."
        credit = self._credit(self.blends.of(reference)[1])
        if promise.keep == "accuracy" and not np.isin(credit, (0, 1)).all():
            return "Its answers are not simply right or wrong, so no share of right answers can be promised, and no row is handed to a cheaper tier."
        return None

    def notices(self) -> list[str]:
        """Return what is strange about the rows or the confidences, in sentences."""
        if len(self.target) < FEW:
            return []
        # The same blend for both: blends that are fitted without a part of the rows have other steps, and so other confidences.
        validation = self.blends.of(self.reference)[0].apply(self.blends.said)
        found = notice.unlike(self.task, "validation", validation, "calibration", self.of_calibration())
        for name in self.blends.said:
            logits = self.blends.of((name,))[1]
            found += notice.uninformative(self.task, name, logits, self._credit(logits))
        return found

    @cached_property
    def reference(self) -> tuple[str, ...]:
        """The tiers whose blend the cascade is held against."""
        if len(self.target) < FEW:
            return (list(self.tiers)[-1],)
        return best(self.blends, self._credit, self._work_of)

    def alone(self, tiers: tuple[str, ...]) -> Cascade:
        """Return the blend of `tiers` as a cascade of one step."""
        return self._cascade(tiers)

    def of_calibration(self) -> NDArray:
        """Return what the reference says of the calibration rows, (B, W)."""
        return self.blends.of(self.reference)[0].apply({name: self._asked(name) for name in self.reference})

    def _credit(self, logits_BW: NDArray) -> NDArray:
        return self.task.credit({self.output: logits_BW}, answers(self.rows["validation"], self.task))

    def _work_of(self, tiers: Sequence[str]) -> float:
        """Return the multiplications a row that all of `tiers` take, where an early exit's are part of what goes on from it."""
        wholes: dict[str, float] = {}
        for name in tiers:
            whole = self.tiers[name].whole or name
            wholes[whole] = max(wholes.get(whole, 0.0), self.work[name])
        return sum(wholes.values())

    def _cheapest(self, reference: tuple[str, ...], promise: Promise) -> tuple[tuple[str, ...], list[list[NDArray]]]:
        """Return the tiers, in order, whose cascade takes the least work where it just keeps the promise on the validation rows, and its path.

        A tier that does not pay for itself is left out so; nothing is returned where none does.
        """
        others = [name for name in self.tiers if name not in reference]
        best_work, found = self._work_of(reference), ((), [])  # type: tuple[float, tuple[tuple[str, ...], list[list[NDArray]]]]
        for count in range(len(others) + 1) if len(others) <= EVERY else (0, 1, 2, len(others)):
            for added in combinations(others, count):
                order = tuple(name for name in self.tiers if name in (*reference, *added))
                if len(order) == 1 or order[-1] not in reference:
                    continue
                settings = path(self._said_by_steps(order, reference, promise))
                work = min((self._expected(order, reference, setting, promise) for setting in settings), default=np.inf)
                if work < best_work:
                    best_work, found = work, (order, settings)
        return found

    def _said_by_steps(self, order: Sequence[str], reference: tuple[str, ...], promise: Promise) -> list[Said]:
        theirs = self.blends.of(reference)[1]
        steps = []
        for count in range(1, len(order)):
            ours = self.blends.of(order[:count])[1]
            loss = self._loss(ours, theirs, promise, self.rows["validation"])
            group = ours.argmax(axis=1) if self.per_class else np.zeros(len(ours), np.int64)
            steps.append(Said(self.task.confidence({self.output: ours}), loss, group, self.spec.width if self.per_class else 1))
        return steps

    def _loss(self, ours: NDArray, theirs: NDArray, promise: Promise, rows: Sequence[Row]) -> NDArray:
        if promise.keep == "agreement":
            return 1 - self.task.agreement({self.output: ours}, {self.output: theirs})
        judged = answers(rows, self.task)
        return self.task.credit({self.output: theirs}, judged) - self.task.credit({self.output: ours}, judged)

    def _expected(self, order: tuple[str, ...], reference: tuple[str, ...], setting: list[NDArray], promise: Promise) -> float:
        """Return the work a validation row takes under `setting`; infinite where the promise is broken there."""
        theirs = self.blends.of(reference)[1]
        cascade = self._cascade(reference, order, setting)
        logits, step_B = _assigned(cascade, [self.blends.of(order[:i])[1] for i in range(1, len(order))] + [theirs])
        loss = self._loss(logits, theirs, promise, self.rows["validation"])
        if (np.sign(loss) if promise.keep == "accuracy" else loss > 0).mean() > promise.allowed:
            return np.inf
        return self._work_by(cascade, step_B)

    def _work_by(self, cascade: Cascade, step_B: NDArray) -> float:
        """Return the mean work of rows that end at `step_B`."""
        works = np.array([self._work_of(step.tiers) for step in cascade.steps])
        return float(works[step_B].mean())

    def _proved(self, alone: Found, order: tuple[str, ...], settings: list[list[NDArray]], promise: Promise) -> Found:
        reference = tuple(alone.reference)
        said = {name: self._asked(name) for name in order}
        theirs = self.blends.of(reference)[0].apply(said)
        rows = self.rows["calibration"]
        cascades = [self._cascade(reference, order, setting) for setting in settings]
        count = certified(promise, (self._loss(cascade.from_said(said)[0], theirs, promise, rows) for cascade in cascades))
        told = [[step.tolist() for step in setting] for setting in settings]
        if not count:
            why = f"{_answers(reference)} No share of cheaper answers is proved to keep it on {len(rows)} calibration rows ({_told(promise)})."
            return replace(alone, settings=told, order=list(order), why=why)
        _, step_B = cascades[count - 1].from_said(said)
        share = float((step_B < len(order) - 1).mean())
        if self._work_by(cascades[count - 1], step_B) >= self._work_of(reference):
            why = f"{_answers(reference)} The {share:.1%} of rows that cheaper tiers are proved to answer well do not pay for asking them."
            return replace(alone, settings=told, order=list(order), why=why)
        why = (
            f"Cascade: {share:.0%} of the calibration rows are answered before the last step; proved on {len(rows)} of them {_told(promise)}. "
            f"The reference is {'+'.join(reference)}."
        )
        return replace(alone, settings=told, order=list(order), certified=count, share=share, cascade=cascades[count - 1].described(), why=why)

    def _cascade(self, reference: tuple[str, ...], order: tuple[str, ...] = (), setting: Sequence[NDArray] = ()) -> Cascade:
        order = order or reference
        cheap = [Step(order[:i], self.blends.of(order[:i])[0], thresholds) for i, thresholds in enumerate(setting, 1)]
        steps = (*cheap, Step(order, self.blends.of(reference)[0], np.zeros(0)))
        return Cascade(NAME if cheap else "+".join(reference), {name: self.tiers[name] for name in order}, steps)

    def _asked(self, name: str) -> NDArray:
        """Return what the tier `name` says of the calibration rows."""
        if name not in self.calibration:
            rows = self.rows["calibration"]
            if not rows:
                return np.zeros((0, self.spec.width), np.float32)
            self.progress.start(f"ask {name} the calibration rows", len(rows))
            self.calibration[name] = asked.ask(self.tiers[name], rows, self.progress)
            self.progress.finish()
        return self.calibration[name]


def _assigned(cascade: Cascade, answers: Sequence[NDArray]) -> tuple[NDArray, NDArray]:
    """Return (B, W) logits and the (B,) step, from the cross-fitted answers of every step."""
    name, _ = output_of(cascade.task)
    step_B = np.full(len(answers[0]), len(answers) - 1)
    for i in reversed(range(len(answers) - 1)):
        step_B[cascade.steps[i].sure(cascade.task, {name: answers[i]}, answers[i])] = i
    return np.stack(answers)[step_B, np.arange(len(step_B))], step_B


def _answers(reference: Sequence[str]) -> str:
    return f"{'+'.join(reference)} answers every row."


def _told(promise: Promise) -> str:
    if promise.keep == "agreement":
        return f"to promise, with {promise.confidence:.0%} confidence, the reference's answer on at least {promise.limit:.1%} of rows"
    return f"to promise, with {promise.confidence:.0%} confidence, at most {promise.limit:.1%} fewer right answers than the reference"
