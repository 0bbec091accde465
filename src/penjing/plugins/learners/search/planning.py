"""Whether a search can work here and what it will cost, before anything is spent. Light: optuna is looked for, and not imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.machine import Machine
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.search.options import Options, Range


def estimate(options: Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int) -> Estimate:
    """Return the cost of all trials, each as dear as the settings given. Raises PlanError, MissingLibrary."""
    if importlib.util.find_spec("optuna") is None:
        raise plugins.missing(ModuleNotFoundError(name="optuna"), "learner 'search'")
    one: Estimate = options.of.kind.plan(options.of.options, rows, columns, outputs, machine, count)
    _check_reading(options, rows, columns)
    n, low, high = options.trials, one.seconds_low or 0.0, one.seconds_high or one.seconds
    why = f"{n} trials, each: {one.why}"
    # Trials may be stopped early, so the least is what the full ones take; on the disk lie the best, the one under way, and its checkpoints.
    least = min(n, options.full_trials)
    return replace(one, seconds=one.seconds * n, seconds_low=low * least, seconds_high=high * n, disk_bytes=3 * one.disk_bytes, why=why)


def _check_reading(options: Options, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Raise PlanError for an option whose values would have the rows read in different ways."""
    processor = plugins.load("processors", options.processor)
    as_given = processor.options_from(rows, columns, options.resolved())
    for key, choice in options.varied.items():
        for value in choice.values() if isinstance(choice, Range) else choice:
            if processor.options_from(rows, columns, options.of.changed({key: value}).options.resolved()) != as_given:
                raise PlanError(
                    f"The search cannot vary {key!r} of {options.of.learner!r}: it changes how rows are read, and they are read once. "
                    "Take it out of space, and add a tier for each value worth comparing."
                )
