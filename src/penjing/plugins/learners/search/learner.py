"""The search tier: another learner with the best of many settings. What it has found is that learner: it saves, exports and serves as that does.

Planning stays light: optuna is imported by what searches, not by what plans. Knows no learner by name.

Layout of a folder: that of `core.learning.inner`, and `search.json`: the options and what was tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.files import digest, read_json, write_json
from penjing.core.learning.inner import AnswersBy, Inner, alone, learnt, opened, save, within
from penjing.core.learning.learnt import only
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, HasExits
from penjing.core.types import Estimate, NDArray, Row, Spec
from penjing.plugins.learners.search import options as settings
from penjing.plugins.learners.search import planning

if TYPE_CHECKING:
    from penjing.plugins.learners.search.trials import Search as Trials

_FEW = 10
"""Training rows up to which none is held out: with no validation rows either, the settings given are taken."""


class Search(AnswersBy):
    """Learns another learner many times."""

    processor: ClassVar[str] = ""
    Options: ClassVar[type[settings.Options]] = settings.Options

    def __init__(self, options: settings.Options, outputs: Mapping[str, Spec]) -> None:
        self.options, self.outputs = options, outputs
        self.tried: list[dict[str, Any]] = []
        """Every trial: values, loss, curve, whether it was behind, and why it failed."""
        self._found: tuple[Inner, Any] | None = None

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Return what all trials cost. Raises what the inner learner raises, PlanError for a space that changes how rows are read."""
        only("search", outputs)
        return planning.estimate(options, rows, columns, outputs, machine, count)

    @classmethod
    def cheaper(cls, options: settings.Options) -> Sequence[settings.Options]:
        """Return options with fewer trials, the most first."""
        fewer = [options.trials // 2**k for k in range(1, 6) if options.trials // 2**k >= 1]
        return [options.model_copy(update={"trials": trials}) for trials in dict.fromkeys(fewer)]

    @classmethod
    def create(cls, options: settings.Options, outputs: Mapping[str, Spec]) -> Self:
        """Raises PlanError for more than one output."""
        only("search", outputs)
        return cls(options, outputs)

    @classmethod
    def open(cls, folder: Path) -> Self:
        told = read_json(folder / "search.json")
        learner = cls(cls.Options(**told["options"]), {name: Spec(**spec) for name, spec in told["outputs"].items()})
        learner.tried, learner._found = told["tried"], opened(folder)
        return learner

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`, judge by `validation`, or by a fifth of the examples where there is none. A killed search does no trial twice."""
        alone(fitting, "search")
        few = not len(validation) and len(examples) < _FEW
        searching = self._searching(examples, validation, fitting)
        fitting.progress.start("search", 1 if few else self.options.trials)
        stopped = None if few else searching.run(self.options.trials)
        inner, learner = (self.options.of, None) if few else searching.found()
        if not len(validation):
            learner = learnt(inner, self.outputs, examples, validation, within(fitting, "whole", fitting.seed))
        fitting.progress.finish()
        self._found, self.tried = (inner, learner), [asdict(one) for one in searching.done]
        if not few:
            fitting.progress.say(self._told(stopped))

    def _searching(self, examples: Examples, validation: Examples, fitting: Fitting) -> Trials:
        from penjing.plugins.learners.search.proposing import Proposal
        from penjing.plugins.learners.search.trials import Search as Trials

        order = np.random.default_rng(fitting.seed).permutation(len(examples))
        apart = len(examples) // 5
        known, held_out = (examples, validation) if len(validation) else (_part(examples, order[apart:]), _part(examples, order[:apart]))
        options = self.options
        return Trials(
            options.of,
            lambda before: Proposal(options.of, options.varied, before, options.trials, options.full_trials, fitting.seed),
            self.outputs,
            known,
            held_out,
            fitting,
            digest([options.model_dump(mode="json"), fitting.seed, len(examples), len(validation)]),
        )

    def _told(self, stopped: str | None) -> str:
        losses = [one["loss"] for one in self.tried if one["loss"] is not None]
        best = next(one for one in self.tried if one["loss"] == min(losses))
        values = ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in best["values"].items())
        behind, failed = (sum(map(bool, (one[what] for one in self.tried))) for what in ("behind", "why"))
        return (
            f"Of {len(self.tried)} settings of {self.inner.learner} the best on held-out rows: {values or 'those given'} "
            f"(loss {best['loss']:.4g}, with those given {self.tried[0]['loss']:.4g})"
            + (f"; {behind} were stopped early" if behind else "")
            + (f"; {failed} failed" if failed else "")
            + (f"; the search ended since {stopped}." if stopped else ".")
        )

    @property
    def answers_by(self) -> Any:
        """The learner that was best. Raises RunFailed before it is there."""
        return self._both[1]

    @property
    def inner(self) -> Inner:
        """Its name and its options."""
        return self._both[0]

    @property
    def _both(self) -> tuple[Inner, Any]:
        if self._found is None:
            raise RunFailed("The search tier has not learnt yet. Call fit first.")
        return self._found

    @property
    def exits(self) -> Mapping[str, Any]:
        """The early exits of the learner that was found."""
        return self._found[1].exits if self._found is not None and isinstance(self._found[1], HasExits) else {}

    def save(self, folder: Path) -> None:
        save(self.inner, self.answers_by, folder)
        outputs = {name: asdict(spec) for name, spec in self.outputs.items()}
        write_json(folder / "search.json", {"options": self.options.model_dump(mode="json"), "outputs": outputs, "tried": self.tried})

    def export(self, folder: Path) -> str:
        engine: str = self.answers_by.export(folder)
        return engine


def _part(examples: Examples, rows: NDArray) -> Examples:
    """Return the examples at `rows`, in memory."""
    return Examples(*examples.batch(np.sort(rows)), None if examples.weight is None else examples.weights(np.sort(rows)))
