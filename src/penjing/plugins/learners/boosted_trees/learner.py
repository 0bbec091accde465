"""Gradient-boosted decision trees on the columns of a table: usually the best single tier there. Knows nothing of what columns mean.

LightGBM grows them, with categories as sets and missing values as they are (Ke et al. 2017); the engine `trees` serves them without it, to the same
bits. How many rounds are enough is found on held-out rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from penjing.core import plugins
from penjing.core.examples import Examples
from penjing.core.files import read_json
from penjing.core.learning.learnt import ServedAsLearnt
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.boosted_trees import options as settings
from penjing.plugins.learners.boosted_trees import planning, search
from penjing.plugins.learners.boosted_trees.boosters import ENGINE, Boosters
from penjing.plugins.learners.boosted_trees.goals import goals_of
from penjing.plugins.learners.boosted_trees.growing import Grown, Rows, grow


class BoostedTrees(ServedAsLearnt):
    """Grows the trees; a `trees` engine runs them when served."""

    tier, runtime = "boosted-trees", ENGINE
    processor: ClassVar[str] = "columns"
    Options: ClassVar[type[settings.Options]] = settings.Options
    options: settings.Options

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Return what learning from `count` rows like `rows` costs. Raises PlanError for more than one output and for 'monotone' that cannot hold."""
        spec = cls.create(options, outputs).spec
        processor = plugins.load("processors", cls.processor)
        names = processor(**processor.options_from(rows, columns, options.resolved())).names
        planning.constraints(options, names["numbers"], names["codes"], spec)
        return planning.estimate(options, len(names["numbers"]) + len(names["codes"]), spec, machine.cores, count)

    @classmethod
    def open(cls, folder: Path) -> Self:
        told = read_json(folder / "learner.json")
        return cls(cls.Options(**told["options"]), told["output"], Spec(**told["spec"]), Boosters.open(folder))

    def export(self, folder: Path) -> str:
        self.learnt.exported().save(folder)
        return self.runtime

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. A killed fit starts again and comes to the same trees."""
        monotone = planning.constraints(self.options, fitting.names.get("numbers", ()), fitting.names.get("codes", ()), self.spec)
        split = search.split(examples, validation, fitting.seed)
        ways = search.candidates(self.options if split.held_out else self.options.model_copy(update={"trees": 0, "search": 0}), fitting.seed)
        rows = Rows(split.learnt.inputs, goals_of(split.learnt, self.spec))
        held_out = Rows(split.held_out.inputs, goals_of(split.held_out, self.spec), rows) if split.held_out else None
        goals, advance = range(len(rows.goals)), fitting.progress.advance
        fitting.progress.start("boosted trees", len(goals) * (len(ways) * ways[0].trees + (not split.whole) * self.options.trees))
        found = [[grow(rows, held_out, goal, way, monotone, fitting.seed, advance) for goal in goals] for way in ways]
        best = min(range(len(ways)), key=lambda i: sum(one.loss for one in found[i]))
        grown = found[best]
        if not split.whole:
            rows = Rows(examples.inputs, goals_of(examples, self.spec))
            grown = [_again(rows, goal, ways[best], grown[goal].rounds, monotone, fitting) for goal in goals]
        fitting.progress.finish()
        _tell(ways, found, best, fitting)
        self.engine = Boosters([one.text for one in grown], [goal.start.tolist() for goal in rows.goals], self.output, rows.columns, self._pair)

    @property
    def _pair(self) -> bool:
        return self.spec == Spec(2, "softmax")


def _again(rows: Rows, goal: int, way: settings.Options, rounds: int, monotone: Sequence[int], fitting: Fitting) -> Grown:
    """Grow so many rounds from all rows; for the progress they are as many as were allowed."""
    each = way.trees / max(rounds, 1)
    grown = grow(
        rows, None, goal, way.model_copy(update={"trees": rounds}), monotone, fitting.seed, lambda done: fitting.progress.advance(done * each)
    )
    fitting.progress.advance(0 if rounds else way.trees)
    return grown


def _tell(ways: Sequence[settings.Options], found: Sequence[Sequence[Grown]], best: int, fitting: Fitting) -> None:
    """Say what was chosen, and whether more trees would have been better."""
    if len(ways) > 1:
        first, least = (sum(one.loss for one in found[i]) for i in (0, best))
        changed = {name: value for name, value in ways[best].model_dump().items() if value != getattr(ways[0], name)}
        told = ", ".join(f"{name} {value:g}" for name, value in changed.items()) or "the settings given"
        fitting.progress.say(
            f"Of {len(ways)} settings of boosted trees the best on held-out rows: {told} (loss {least:.4g}, with those given {first:.4g})."
        )
    if any(one.rising for one in found[best]):
        fitting.progress.say(f"The last of {ways[best].trees} rounds of boosted trees was still the best: a larger 'trees' may do better.")
