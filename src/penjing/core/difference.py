"""The first thing in which two sides of a hand-over differ, in one sentence: what a broken parity leads to. Judges nothing.

It goes the way a row goes: what is asked (task), who answers (tier), how rows become arrays (processor), the arrays, the steps of the engine,
the outputs. "Before" is the side that the other was made from. Rows are named by their number, and nothing of what they say is told.

Shapes: B rows, W width of an output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from penjing.core.cascade import Cascade
from penjing.core.changes import changed
from penjing.core.protocols import HasLayers, Predictor
from penjing.core.rows import ROW_ID
from penjing.core.tier import Tier, packed
from penjing.core.types import Array, Batch, NDArray, Ragged, Row, take

TOLERANCE = 2e-5
"""Of the largest value of a step: two runtimes sum float32 in different orders, and differ by less (MiniLM in three runtimes: by 1e-6)."""
LOOKED_INTO = 8
"""Rows whose steps are compared: those whose outputs differ most."""


def first_difference(ours: Predictor, theirs: Predictor, rows: Sequence[Row]) -> str | None:
    """Return the first difference between `ours` and `theirs`, which it was made from, without a full stop; None where there is none to speak of."""
    if isinstance(ours, Cascade) and isinstance(theirs, Cascade):
        return _task(ours, theirs, rows) or _cascade(ours, theirs, rows) or _outputs(ours, theirs, rows)
    looks: list[Callable[[Any, Any, Sequence[Row]], str | None]] = [_task, _name]
    if isinstance(ours, Tier) and isinstance(theirs, Tier):
        looks += [_processor, _encoded, _steps]
    for look in (*looks, _outputs):
        if found := look(ours, theirs, rows):
            return found
    return None


def _task(ours: Predictor, theirs: Predictor, rows: Sequence[Row]) -> str | None:
    return _plugin("task", packed("tasks", theirs.task), packed("tasks", ours.task))


def _name(ours: Predictor, theirs: Predictor, rows: Sequence[Row]) -> str | None:
    if ours.name == theirs.name:
        return None
    return f"the tier was called {theirs.name!r} before and is called {ours.name!r} after: another tier has taken its place"


def _cascade(ours: Cascade, theirs: Cascade, rows: Sequence[Row]) -> str | None:
    if found := changed(theirs.described(), ours.described()):
        return f"{theirs.name}: {found}"
    for name, tier in theirs.tiers.items():
        if found := first_difference(ours.tiers[name], tier, rows):
            return f"tier {name!r}: {found}"
    return None


def _processor(ours: Tier, theirs: Tier, rows: Sequence[Row]) -> str | None:
    return _plugin("processor", packed("processors", theirs.processor), packed("processors", ours.processor))


def _plugin(kind: str, before: dict[str, Any], after: dict[str, Any]) -> str | None:
    if before["name"] != after["name"]:
        return f"the {kind} was {before['name']} before and is {after['name']} after"
    found = changed(before["options"], after["options"])
    return found and f"{kind} {before['name']}: {found}"


def _encoded(ours: Tier, theirs: Tier, rows: Sequence[Row]) -> str | None:
    after, before = ours.processor.encode(rows), theirs.processor.encode(rows)
    if before.keys() != after.keys():
        return f"the processor made {', '.join(before)} before and makes {', '.join(after)} after, of the same rows and by the same options"
    for i, row in enumerate(rows):
        for name in before:
            if found := _unequal(before[name][i], after[name][i]):
                return f"the processor encodes {_named(row, i)} differently by the same options: {name!r}, {found}"
    return None


def _unequal(before: Any, after: Any) -> str | None:
    x, y = np.atleast_1d(before), np.atleast_1d(after)
    if np.array_equal(x, y):
        return None
    if x.ndim == y.ndim == 1:
        places = np.flatnonzero(x[: len(y)] != y[: len(x)])
        if len(places):
            return f"position {places[0]}, was {x[places[0]]} before and is {y[places[0]]} after"
    return f"of shape {x.shape} before and {y.shape} after"


def _steps(ours: Tier, theirs: Tier, rows: Sequence[Row]) -> str | None:
    """Go through both engines, where both can be looked into, on the rows whose outputs differ most."""
    if not (isinstance(ours.engine, HasLayers) and isinstance(theirs.engine, HasLayers)):
        return None
    encoded = theirs.processor.encode(rows)
    apart_B = _apart(_run(ours, encoded), _run(theirs, encoded), len(rows))
    chosen = np.argsort(-apart_B, kind="stable")[:LOOKED_INTO]
    batch = take(encoded, chosen)
    count = f"the answers to {int((apart_B > TOLERANCE).sum())} of {len(rows)} rows differ, most that to {_named(rows[chosen[0]], int(chosen[0]))}"
    steps = zip(theirs.engine.layers(batch), ours.engine.layers(batch), strict=False)
    for i, ((before, x), (after, y)) in enumerate(steps):
        if before != after:
            return f"the engine has another step {i + 1}: {before!r} before and {after!r} after"
        if (found := _beyond(x, y)) is None:
            continue
        if i == 0 and (apart_B > TOLERANCE).all():
            return f"the engine differs from its first step on, {before!r}, {found}, and in every answer: another model may have taken its place"
        return f"the engine differs first in step {before!r}, {found}; {count}"
    return None


def _beyond(before: NDArray, after: NDArray) -> str | None:
    """Return by how much two arrays differ, where it is more than rounding."""
    if before.shape != after.shape:
        return f"of shape {before.shape} before and {after.shape} after"
    difference, scale = float(_distance(before, after).max(initial=0)), _scale(before)
    return f"by {difference:.2g} where its values reach {scale:.2g}" if difference > TOLERANCE * scale else None


def _outputs(ours: Predictor, theirs: Predictor, rows: Sequence[Row]) -> str | None:
    after, before = ours.outputs(rows), theirs.outputs(rows)
    for name in theirs.task.outputs:
        if name not in before or name not in after:
            return f"the output {name!r} is missing {'after' if name in before else 'before'}"
        x_BW, y_BW = np.asarray(before[name]), np.asarray(after[name])
        if x_BW.shape != y_BW.shape:
            return f"the output {name!r} was of shape {x_BW.shape} before and is {y_BW.shape} after"
        apart_BW, least = _distance(x_BW, y_BW), TOLERANCE * _scale(x_BW)
        if apart_BW.max(initial=0) > least:
            i, k = (int(at) for at in np.unravel_index(apart_BW.argmax(), apart_BW.shape))
            labels = getattr(theirs.task, "labels", None)
            which = f"for {labels[k]!r}" if labels and len(labels) == x_BW.shape[1] else f"at place {k}"
            many = int((apart_BW.max(axis=1) > least).sum())
            return (
                f"the output {name!r} differs most in {_named(rows[i], i)}, {which}: {x_BW[i, k]:.4g} before and {y_BW[i, k]:.4g} after; "
                f"{many} of {len(rows)} rows differ"
            )
    return None


def _run(tier: Tier, encoded: Batch) -> Batch:
    outputs = tier.engine.run(encoded)
    return {name: outputs[name] for name in tier.task.outputs if name in outputs}


def _apart(ours: Batch, theirs: Batch, n: int) -> NDArray:
    """Return (B,) the largest difference of each row's outputs, in units of their scale; infinite where they cannot be compared."""
    apart_B = np.zeros(n)
    for name, before in theirs.items():
        x, y = _flat(before), _flat(ours.get(name))
        apart_B = np.maximum(apart_B, _distance(x, y).max(axis=1, initial=0) / _scale(x) if x.shape == y.shape else np.inf)
    return apart_B


def _distance(x: NDArray, y: NDArray) -> NDArray:
    with np.errstate(invalid="ignore"):  # infinity less infinity, which counts as apart
        distance: NDArray = np.nan_to_num(np.abs(x - y), nan=np.inf)
    return distance


def _scale(values: NDArray) -> float:
    return max(1.0, float(np.abs(values).max(initial=0)))


def _flat(array: Array | None) -> NDArray:
    return np.zeros((0, 0)) if array is None or isinstance(array, Ragged) else np.asarray(array, np.float64)


def _named(row: Row, place: int) -> str:
    return f"row {row[ROW_ID]}" if ROW_ID in row else f"row {place + 1} of those compared"
