"""predictions + test rows → where the answers are right and wrong: label by label, and by the values of other columns. No texts, only counts.

Shapes: B test rows, C labels.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from penjing.core.paired import is_binary
from penjing.core.protocols import Task
from penjing.core.rows import ROW_ID
from penjing.core.statistics import bootstrap_of, exact_interval, percentile_interval, resampled_sums
from penjing.core.types import Measurement, NDArray, Prediction, Row

FEWEST_ROWS, MOST_VALUES = 10, 20
LONGEST_VALUE = 60
"""Characters of a value; a column with a longer one holds texts, and texts do not stand in reports."""
_RESAMPLES = 1000


def confusion(task: Task, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, Any] | None:
    """Return {labels, counts: (C true, C predicted)} for a task of one label a row; None for any other."""
    labels: Sequence[str] | None = getattr(task, "labels", None)
    if labels is None or any(spec.link != "softmax" for spec in task.outputs.values()):
        return None
    index, width = {label: i for i, label in enumerate(labels)}, len(labels)
    guessed_B = np.array([index[p["label"]] for p in predictions], np.int64)
    cells = np.bincount(task.target_of(rows) * width + guessed_B, minlength=width * width)
    return {"labels": list(labels), "counts": cells.reshape(width, width).tolist()}


def slices(task: Task, credit_B: NDArray, rows: Sequence[Row], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the mean credit for each value of each column that is neither input, nor target, nor the rows' number.

    columns: the input columns. A column counts where it has 2 to 20 values, all of them short, each value where it has 10 rows or more,
    and two such values are the fewest.
    The value of a slice is what it says, as text; a missing one is "(none)".
    """
    found = []
    for column in dict.fromkeys(name for row in rows for name in row):
        if column not in {*columns, task.target, ROW_ID}:
            for value, credit in _groups([row.get(column) for row in rows], credit_B).items():
                found.append({"column": column, "value": value, "n": len(credit), "measurement": asdict(_mean(credit))})
    return found


def _groups(values: Sequence[Any], credit_B: NDArray) -> Mapping[str, NDArray]:
    if not all(isinstance(value, Hashable) for value in values):
        return {}
    texts = np.array(["(none)" if value is None or value == "" else str(value) for value in values], object)
    distinct = sorted(set(texts.tolist()))
    if not 2 <= len(distinct) <= MOST_VALUES or max(map(len, distinct)) > LONGEST_VALUE:
        return {}
    groups = {value: credit_B[texts == value] for value in distinct}
    enough = {value: credit for value, credit in groups.items() if len(credit) >= FEWEST_ROWS}
    return enough if len(enough) > 1 else {}


def _mean(credit: NDArray) -> Measurement:
    n = len(credit)
    if is_binary(credit):
        low, high = exact_interval(int(credit.sum()), n)
        return Measurement("credit", float(credit.mean()), "", low, high, n, "exact binomial interval (Clopper–Pearson)")
    means_R = resampled_sums(credit[:, None].astype(np.float64), _RESAMPLES)[:, 0] / n
    return Measurement("credit", float(means_R[0]), "", *percentile_interval(means_R[1:]), n, bootstrap_of(n, _RESAMPLES))
