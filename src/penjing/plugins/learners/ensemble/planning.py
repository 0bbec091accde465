"""Whether an ensemble can work here and what it will cost, before anything is spent. Light: nothing that learns is imported but by the members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.learning.inner import Inner
from penjing.core.learning.weights import HasWeights
from penjing.core.machine import Machine
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.ensemble.options import Options


def estimate(options: Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int) -> Estimate:
    """Return the cost of all members. Raises PlanError where they cannot be one, and what they raise themselves."""
    (spec,) = outputs.values()
    check(options, spec)
    _check_reading(options, rows, columns)
    each = {i: one.kind.plan(one.options, rows, columns, outputs, machine, count) for i, one in enumerate(options.of)}
    times = Counter(i % len(options.of) for i in range(len(options.learnt)))
    # Of K folds each is left out once: K - 1 wholes, and the whole itself.
    fits = options.folds if options.how == "stacking" else 1
    seconds, low, high = (
        fits * sum((getattr(each[i], name) or each[i].seconds) * n for i, n in times.items()) for name in ("seconds", "seconds_low", "seconds_high")
    )
    kept = sum(each[i].disk_bytes * n for i, n in times.items())
    why = f"{fits * len(options.learnt)} models, the first: {each[0].why}"
    return Estimate(round(seconds, 1), max(one.memory_bytes for one in each.values()) + kept, 2 * kept, why, round(low, 1), round(high, 1))


def check(options: Options, spec: Spec) -> None:
    """Raise PlanError where the learners or what is asked do not suit how they are put together."""
    if options.how == "boosting" and spec.link == "sigmoid":
        raise PlanError(
            "Boosting learns one class or one number a row, and this task asks for several yes-or-no answers. Choose bagging or stacking."
        )
    if options.how == "soup" and not issubclass(options.of[0].kind, HasWeights):
        raise PlanError(f"A soup is a mean of weights, and {options.of[0].learner!r} has none that could be averaged. Choose bagging.")
    if options.how == "soup" and "model" not in type(options.of[0].options).model_fields:
        raise PlanError(
            f"A soup needs members that begin with the same weights, and {options.of[0].learner!r} begins at random: their mean would be no model "
            "at all. Choose bagging, or a learner that begins with a pretrained model."
        )
    if options.how == "soup" and any(getattr(one.options, "tune", "") == "frozen" for one in options.of):
        raise PlanError("Of a frozen model only the head is learnt, and always the same: its soup is itself. Tune more of it, such as tune: full.")


def _check_reading(options: Options, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Raise PlanError for a member that would have the rows read in another way than the first."""
    first, name = options.of[0], options.processor
    as_first = _read(first, rows, columns)
    for number, one in enumerate(options.of[1:], 2):
        if one.processor != name:
            raise PlanError(
                f"The ensemble's member {number}, {one.learner!r}, reads {one.processor} and the first, {first.learner!r}, reads {name}: they "
                "cannot share rows. Make them tiers of their own, which a cascade blends."
            )
        found = _read(one, rows, columns)
        if differ := sorted(key for key in as_first.keys() | found.keys() if as_first.get(key) != found.get(key)):
            raise PlanError(
                f"The ensemble's member {number}, {one.learner!r}, has its rows read in another way than the first, {first.learner!r}: "
                f"{', '.join(differ)} of {name} would differ. Give both the same options, or make them tiers of their own, which a cascade blends."
            )


def _read(one: Inner, rows: Sequence[Row], columns: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = plugins.load("processors", one.processor).options_from(rows, columns, one.options.resolved())
    return found
