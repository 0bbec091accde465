"""The network tier for tables: an MLP or an FT-Transformer over what the processor `columns` makes.

Planning stays light: torch is imported by what learns, runs and exports, not by what plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.tabular_network import options as settings
from penjing.plugins.learners.tabular_network import planning
from penjing.training.nets.learner import NetLearner


class TabularNetwork(NetLearner):
    tier = "tabular-network"
    processor: ClassVar[str] = "columns"
    Options: ClassVar[type[settings.Options]] = settings.Options
    options: settings.Options

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Raises PlanError for more than one output and for a width that cannot be, MissingLibrary without torch or the runtime."""
        cls.create(options, outputs)
        return planning.estimate(options, rows, columns, outputs, machine, count)

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. Raises DataError without any column, RunFailed where learning diverges."""
        from penjing.plugins.learners.tabular_network.learning import example, learnt

        net = learnt(self.options, self.spec, examples, validation, fitting)
        self.take(net, example(examples.inputs))
