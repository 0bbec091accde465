"""A number for each row: what every task of this kind shares, whatever it reads. Knows numbers and rows; not how the inputs are encoded.

Engines learn and return standardised values, (number - center) / scale, so that one learning rate suits every unit.  Shapes: B rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from penjing.core.errors import DataError
from penjing.core.statistics import bootstrap_of, percentile_interval, resampled_sums
from penjing.core.types import Batch, Measurement, NDArray, Prediction, Row, Spec

RESAMPLES = 1000


@dataclass(frozen=True)
class OneNumber:
    """All of a task but what it reads: a subclass names its kind of inputs and gives an example."""

    inputs: ClassVar[str]

    target: str
    columns: list[str]
    center: float
    """Mean of the training targets, in their unit."""
    scale: float
    """Standard deviation of the training targets, in their unit."""

    @property
    def outputs(self) -> Mapping[str, Spec]:
        return {"logits": Spec(1, "identity")}

    @classmethod
    def suits(cls, values: Sequence[Any]) -> tuple[float, str]:
        if not values or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
            return 0.0, ""
        return (0.8 if len(set(values)) > 20 or any(float(v) % 1 for v in values) else 0.1), f"{len(set(values))} different numbers"

    @classmethod
    def options_from(cls, rows: Sequence[Row], target: str, columns: Sequence[str]) -> dict[str, Any]:
        values = np.array([_number(row[target], target) for row in rows])
        if values.std() == 0:
            raise DataError(f"Column {target!r} holds one value only ({values[0]:g}). There is nothing to learn: choose another target column.")
        return {"target": target, "columns": list(columns), "center": float(values.mean()), "scale": float(values.std())}

    def target_of(self, rows: Sequence[Row]) -> NDArray:
        values = np.array([_number(row.get(self.target), self.target) for row in rows])[:, None]
        return ((values - self.center) / self.scale).astype(np.float32)

    def strata(self, rows: Sequence[Row]) -> NDArray:
        """Return the tenth that each target falls in, so that splits span the same range."""
        values = self.target_of(rows)[:, 0]
        return np.searchsorted(np.quantile(values, np.linspace(0.1, 0.9, 9)), values)

    def decode(self, outputs: Batch, rows: Sequence[Row]) -> list[Prediction]:
        values = np.asarray(outputs["logits"], np.float64)[:, 0] * self.scale + self.center
        return [{"value": value} for value in values.tolist()]

    def confidence(self, outputs: Batch) -> NDArray:
        """Return 1 for every row: a point estimate does not say how sure it is."""
        return np.ones(len(outputs["logits"]))

    def agreement(self, ours: Batch, theirs: Batch) -> NDArray:
        """Return 1 where two values differ by less than a thousandth of the targets' standard deviation."""
        close: NDArray = np.abs(np.asarray(ours["logits"]) - np.asarray(theirs["logits"]))[:, 0] < 1e-3
        return close.astype(np.float64)

    def credit(self, outputs: Batch, rows: Sequence[Row]) -> NDArray:
        """Return 1 minus the squared error in units of the training targets' variance; the mean is near R²."""
        error = np.asarray(outputs["logits"], np.float64)[:, 0] - self.target_of(rows)[:, 0]
        return 1 - error**2

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> list[Measurement]:
        """R², mean absolute error and root mean squared error, each with a bootstrap interval."""
        true = np.array([_number(row.get(self.target), self.target) for row in rows])
        error = np.array([p["value"] for p in predictions]) - true
        n = len(rows)
        centred = true - self.center
        means_RK = resampled_sums(np.column_stack([centred, centred**2, error**2, np.abs(error)]), RESAMPLES) / n
        mean_R, square_R, squared_R, absolute_R = means_RK.T
        spread_R = np.maximum(square_R - mean_R**2, np.finfo(float).tiny)
        measured = [("r2", 1 - squared_R / spread_R, "higher"), ("mae", absolute_R, "lower"), ("rmse", np.sqrt(squared_R), "lower")]
        method = bootstrap_of(n, RESAMPLES)
        unit = {"r2": "", "mae": self.target, "rmse": self.target}
        return [Measurement(name, float(v[0]), unit[name], *percentile_interval(v[1:]), n, method, b) for name, v, b in measured]  # type: ignore[arg-type]


def _number(value: Any, target: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"Column {target!r} holds {value!r}, which is not a number, in a task that predicts numbers.") from error
    if not math.isfinite(number):
        raise DataError(f"Column {target!r} holds {value!r}. A target must be a finite number: drop or correct that row.")
    return number
