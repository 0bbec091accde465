"""A generalised additive model of a table, with a few pairs of columns: usable seconds after the run begins.

Each number has a piecewise linear function, each category a value, and each pair that pays a table (GA2M: Lou, Caruana, Gehrke and Hooker 2013, KDD).
All values are learnt together, as those of a generalised linear model. Knows nothing of rows of data, only of their numbers and codes.

Shapes: N number columns, K code columns, V numbers a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from penjing.core import plugins
from penjing.core.errors import PlanError, nearest
from penjing.core.examples import Examples
from penjing.core.learning.learnt import ServedAsLearnt
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.tabular_linear import options as settings
from penjing.plugins.learners.tabular_linear.layout import ENGINE, untaught
from penjing.plugins.learners.tabular_linear.search import FEW, FOLDS, L2, MOST, PULLS, ROUNDS, VALUES, Search, Settings

_ENCODE_NS, _VALUE_NS = 100, 6
"""Time to lay out a value, and to add it up in a pass for each of the V numbers. Measured on one core of an AMD EPYC of 2.6 GHz, with a busy
neighbour.
"""
_PASSES = 150
"""Of a descent, on average."""
_BASE_BYTES = 220 << 20


class TabularLinear(ServedAsLearnt):
    """Learns the tables; an `additive` engine looks them up, here and when served."""

    tier, runtime = "tabular-linear", ENGINE
    processor: ClassVar[str] = "columns"
    Options: ClassVar[type[settings.Options]] = settings.Options
    options: settings.Options

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Return what learning from `count` rows like `rows` costs. Raises PlanError for more than one output, or monotone columns that cannot be."""
        spec = cls.create(options, outputs).spec
        kind = plugins.load("processors", cls.processor)
        names = kind(**kind.options_from(rows, columns, options.resolved())).names
        _refuse_monotone(options, spec)
        for name in options.monotone:
            if name not in columns or name in names["codes"]:
                raise PlanError(_no_number(name, columns if name not in columns else names["numbers"]))
        return _estimate(options, len(names["numbers"]), len(names["codes"]), spec, count)

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. A killed fit starts again and comes to the same tables. Raises PlanError for a monotone column that is no number."""
        numbers = list(fitting.names.get("numbers", ()))
        for name in self.options.monotone:
            if name not in numbers:
                raise PlanError(_no_number(name, numbers))
        _refuse_monotone(self.options, self.spec)
        engine = untaught(examples, self.options.bins, self.output, self.spec, fitting.seed)
        towards = {"increasing": 1, "decreasing": -1}
        signs = {numbers.index(name): towards[direction] for name, direction in self.options.monotone.items()}
        l2 = None if self.options.l2 == "auto" else self.options.l2
        chosen = Settings(l2, self.options.crosses, self.options.iterations, tuple(signs.get(i, 0) for i in range(len(engine.counts))), fitting.seed)
        most = _models(self.options, len(examples))
        fitting.progress.start(self.tier, most)
        search = Search(examples, validation, self.spec, chosen, fitting.progress)
        self.engine = search.taught(engine)
        fitting.progress.advance(most - search.done)
        fitting.progress.finish()


def _refuse_monotone(options: settings.Options, spec: Spec) -> None:
    if options.monotone and spec not in (Spec(2, "softmax"), Spec(1, spec.link)):
        asked = f"tells {spec.width} classes apart" if spec.link == "softmax" else f"asks for {spec.width} answers"
        raise PlanError(f"tabular-linear: monotone says of one answer that it rises or falls, and this task {asked}. Leave monotone out.")


def _no_number(name: str, numbers: Sequence[str]) -> str:
    return f"tabular-linear: monotone names {name!r}, which is no number column that is read. {nearest(name, numbers)}"


def _models(options: settings.Options, count: int) -> int:
    """Return how many models will be learnt from `count` training rows at most."""
    tried = (len(L2) if options.l2 == "auto" else 1) + (len(PULLS) + 1 + ROUNDS * (len(L2) - 1) * (options.l2 == "auto") if options.crosses else 0)
    if options.l2 != "auto" and not options.crosses:
        return 1
    return tried * FOLDS + 1 if count < FEW else tried + 1


def _estimate(options: settings.Options, numbers: int, codes: int, spec: Spec, count: int) -> Estimate:
    a_row, width = 2 * numbers + codes + options.crosses, spec.width - (spec == Spec(2, "softmax"))
    rows = min(count, VALUES // max(a_row, 1))
    models = _models(options, count)
    passes = _PASSES * (min(rows, MOST) * (models - 1) / 2 + rows)  # patience leaves about half of the models untried
    seconds = 1 + (rows * a_row * _ENCODE_NS + passes * (a_row * _VALUE_NS + 60) * width) / 1e9
    entries = numbers * (options.bins + 1) + codes * 40 + options.crosses * 200
    memory = _BASE_BYTES + rows * (10 * a_row + 16 * width) + entries * width * 400
    return Estimate(round(seconds, 1), int(memory), int(4 * entries * (width + 2)), f"{numbers + codes} columns, at most {models} models")
