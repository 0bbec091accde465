"""Which columns of a row weighed most in its answer: what would have been said, had one of them held its usual value?

Every column is replaced in turn, and the same predictor is asked again (occlusion against a reference, Robnik-Šikonja and Kononenko 2008,
section 3), so that a cascade is explained as it answers. Knows tasks that name usual values; neither models nor kinds of data.

Shapes: B rows, P columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from penjing.core.statistics import probabilities
from penjing.core.types import Batch, NDArray, Prediction, Row

CHUNK = 4096
"""Rows that are asked about at a time."""
_TINY = 1e-9


@runtime_checkable
class GivesReasons(Protocol):
    """A task whose predictions may name reasons; asked for by type."""

    reasons: int
    """How many columns a prediction names."""
    usual: dict[str, Any]
    """The usual value of every column."""


def add_reasons(task: Any, ask: Callable[[Sequence[Row]], Batch], rows: Sequence[Row], outputs: Batch, predictions: list[Prediction]) -> None:
    """Give each of the `predictions` its "reasons", where the task wants them: [{column, value, effect}], the weightiest for the answer first.

    effect: by how much the column's value, rather than its usual one, speaks for the answer: in log-odds of the label (nats), or in the unit
    of the number. Only what speaks for the answer is named of labels; of a number what moves it most, either way.
    """
    if not isinstance(task, GivesReasons) or not task.reasons:
        return
    columns = list(task.usual)
    each = max(1, CHUNK // max(1, len(columns)))
    for start in range(0, len(rows), each):
        part = rows[start : start + each]
        asked: list[Row] = [{**row, column: task.usual[column]} for row in part for column in columns]
        without = _said(task, ask(asked), [p for p in predictions[start : start + each] for _ in columns])
        whole = _said(task, {name: np.asarray(array)[start : start + each] for name, array in outputs.items()}, predictions[start : start + each])
        effect_BP = whole[:, None] - without.reshape(len(part), len(columns))
        labelled = "label" in predictions[start]
        for row, prediction, effects in zip(part, predictions[start : start + each], effect_BP, strict=True):
            order = np.argsort(-(effects if labelled else np.abs(effects)), kind="stable")[: task.reasons]
            prediction["reasons"] = [
                {"column": columns[i], "value": row.get(columns[i]), "effect": round(float(effects[i]), 6)}
                for i in order
                if (effects[i] > 0 if labelled else effects[i] != 0)
            ]


def _said(task: Any, outputs: Batch, predictions: Sequence[Prediction]) -> NDArray:
    """Return (B,) how much is said for each prediction's answer: the log-odds of its label, or the number."""
    ((name, spec),) = task.outputs.items()
    logits = np.asarray(outputs[name], np.float64)
    if spec.link == "identity":
        return cast(NDArray, logits[:, 0] * task.scale)
    shares = probabilities(logits, spec.link)
    share_B = shares[np.arange(len(shares)), [task.labels.index(p["label"]) for p in predictions]]
    return cast(NDArray, np.log(np.maximum(share_B, _TINY)) - np.log(np.maximum(1 - share_B, _TINY)))
