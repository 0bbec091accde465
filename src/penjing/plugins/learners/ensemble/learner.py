"""The ensemble tier: several learners that answer as one, or, as a soup, become one. Knows no learner by name, and not how any of them learns.

Layout of a folder: `ensemble.json` (options, output and its Spec, the blend), and each member, kept by `core.learning.inner`, in `0/`, `1/` …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

from penjing.core import plugins
from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.files import read_json, write_json
from penjing.core.learning.inner import AnswersBy, Inner, alone, opened, save
from penjing.core.learning.learnt import only
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, HasExits
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.ensemble import bagging, boosting, planning, soup, stacking
from penjing.plugins.learners.ensemble import options as settings
from penjing.plugins.learners.ensemble.members import Task

ENGINE = "ensemble"


class Ensemble(AnswersBy):
    """Learns members; an `ensemble` engine runs theirs, here and when served. A soup is run, and served, by its one member's own."""

    processor: ClassVar[str] = ""
    Options: ClassVar[type[settings.Options]] = settings.Options

    def __init__(self, options: settings.Options, output: str, spec: Spec) -> None:
        self.options, self.output, self.spec = options, output, spec
        self.members: list[tuple[Inner, Any]] = []
        self.blend: dict[str, Any] | None = None
        """How answers of the members become one; None of a soup."""

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Return what all members cost. Raises PlanError where they cannot be one, and what they raise themselves."""
        only(ENGINE, outputs)
        return planning.estimate(options, rows, columns, outputs, machine, count)

    @classmethod
    def cheaper(cls, options: settings.Options) -> Sequence[settings.Options]:
        """Return options with fewer members, or, of stacking, fewer folds; the most first."""
        name, most = ("folds", options.folds) if options.how == "stacking" else ("members", options.members)
        return [options.model_copy(update={name: count}) for count in sorted({most // 2, 3, 2}, reverse=True) if 2 <= count < most]

    @classmethod
    def create(cls, options: settings.Options, outputs: Mapping[str, Spec]) -> Self:
        """Raises PlanError for more than one output."""
        return cls(options, *only(ENGINE, outputs))

    @classmethod
    def open(cls, folder: Path) -> Self:
        told = read_json(folder / "ensemble.json")
        learner = cls(cls.Options(**told["options"]), told["output"], Spec(**told["spec"]))
        learner.members, learner.blend = [opened(folder / str(i)) for i in range(told["members"])], told["blend"]
        return learner

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. Raises PlanError where the members cannot be one. A killed fit learns no finished member again."""
        alone(fitting, ENGINE)
        planning.check(self.options, self.spec)
        task, options = Task(self.options, self.output, self.spec, examples, validation, fitting), self.options
        fitting.progress.start(f"ensemble ({options.how})", len(options.learnt) * (1 + options.folds * (options.how == "stacking")))
        if options.how == "soup":
            members, self.blend = [soup.learnt(task)], None
        else:
            members, self.blend = {"bagging": bagging, "boosting": boosting, "stacking": stacking}[options.how].learnt(task)
        self.members = [(inner, member) for inner, member in zip(options.learnt, members, strict=False)]
        fitting.progress.finish()

    @property
    def exits(self) -> Mapping[str, Any]:
        """The early exits of a soup; other ensembles have none."""
        return self.answers_by.exits if self.members and self.blend is None and isinstance(self.answers_by, HasExits) else {}

    def save(self, folder: Path) -> None:
        for i, (inner, member) in enumerate(self._learnt):
            save(inner, member, folder / str(i))
        told = {"options": self.options.model_dump(mode="json"), "output": self.output, "spec": asdict(self.spec)}
        write_json(folder / "ensemble.json", {**told, "members": len(self.members), "blend": self.blend})

    def export(self, folder: Path) -> str:
        members = [member for _, member in self._learnt]
        if self.blend is None:
            engine: str = members[0].export(folder)
            return engine
        for i in range(len(members)):
            (folder / str(i)).mkdir(parents=True, exist_ok=True)
        self.answers_by.write(folder, [member.export(folder / str(i)) for i, member in enumerate(members)])
        return ENGINE

    @property
    def answers_by(self) -> Any:
        """The engine; of a soup, its one member."""
        members = [member for _, member in self._learnt]
        return members[0] if self.blend is None else plugins.load("engines", ENGINE)(members, self.blend, self.output, self.spec)

    @property
    def _learnt(self) -> list[tuple[Inner, Any]]:
        """Raises RunFailed before anything is learnt."""
        if not self.members:
            raise RunFailed("The ensemble tier has not learnt yet. Call fit first.")
        return self.members
