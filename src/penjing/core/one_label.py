"""One label for each row: what every task of this kind shares, whatever it reads. Knows labels and rows; not how the inputs are encoded.

Where mistakes do not all cost the same, the answer is the one with the least expected cost (Elkan 2001, section 1), and not the likeliest.

Shapes: B rows, C labels (of the truth first, then of the answer).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from penjing.core.config import Section
from penjing.core.errors import ConfigError, DataError, nearest
from penjing.core.statistics import bootstrap_of, exact_interval, macro_f1, percentile_interval, probabilities, resampled_sums
from penjing.core.types import Batch, Measurement, NDArray, Prediction, Row, Spec

RESAMPLES = 1000


class Options(Section):
    """What a user may set for a task of one label."""

    costs: dict[str, dict[str, float]] = Field(default={})
    """What a wrong answer costs: {TRUE LABEL: {ANSWER: COST}}, in any unit. A mistake that is not named costs 1, a right answer nothing. The
    answer is then the one with the least expected cost, and `mean_cost` is measured."""


@dataclass(frozen=True)
class OneLabel:
    """All of a task but what it reads: a subclass names its kind of inputs and gives an example."""

    inputs: ClassVar[str]
    Options: ClassVar[type[Section]] = Options

    target: str
    columns: list[str]
    labels: list[str]
    costs: dict[str, dict[str, float]] = field(default_factory=dict)
    """As in Options."""

    def __post_init__(self) -> None:
        for truth, answers in self.costs.items():
            for label in (truth, *answers):
                if label not in self.labels:
                    raise ConfigError(
                        f"task.costs names the label {label!r}, which column {self.target!r} does not hold. {nearest(label, self.labels)}"
                    )
            if any(not 0 <= cost < float("inf") for cost in answers.values()):
                raise ConfigError(f"task.costs.{truth}: a cost is a finite number, 0 or more.")

    @property
    def outputs(self) -> Mapping[str, Spec]:
        return {"logits": Spec(len(self.labels), "softmax")}

    @classmethod
    def suits(cls, values: Sequence[Any]) -> tuple[float, str]:
        if any(isinstance(v, list | dict) for v in values):
            return 0.0, ""
        distinct, longest = len(set(values)), max((len(str(v)) for v in values), default=0)
        if distinct > max(2, min(1000, len(values) // 2)) or longest > 200:
            return 0.0, ""
        fractional = any(isinstance(v, float) and not v.is_integer() for v in values)
        return (0.4 if fractional or (_numeric(values) and distinct > 20) else 0.9), f"{distinct} different values"

    @classmethod
    def options_from(cls, rows: Sequence[Row], target: str, columns: Sequence[str]) -> dict[str, Any]:
        counts = Counter(str(row[target]) for row in rows)
        if len(counts) < 2:
            only = next(iter(counts), None)
            raise DataError(f"Column {target!r} holds one class only ({only!r}). A classifier needs at least two: choose another target column.")
        return {"target": target, "columns": list(columns), "labels": sorted(counts)}

    def target_of(self, rows: Sequence[Row]) -> NDArray:
        index = {label: i for i, label in enumerate(self.labels)}
        try:
            return np.array([index[str(row[self.target])] for row in rows], np.int64)
        except KeyError as error:
            label = str(error.args[0])
            if label == self.target:
                raise DataError(f"A row has no column {self.target!r}, the target.") from error
            raise DataError(f"Label {label!r} in column {self.target!r} was not among the training rows. {nearest(label, self.labels)}") from error

    def strata(self, rows: Sequence[Row]) -> NDArray:
        return self.target_of(rows)

    def probabilities(self, outputs: Batch) -> NDArray:
        """Return (B, C) float64 that sum to 1 over the labels."""
        return probabilities(np.asarray(outputs["logits"], np.float64), "softmax")

    def answers(self, outputs: Batch) -> NDArray:
        """Return (B,) int64: the number of each answer's label."""
        if not self.costs:
            likeliest: NDArray = np.asarray(outputs["logits"]).argmax(axis=1)
            return likeliest
        cheapest: NDArray = (self.probabilities(outputs) @ self._costs).argmin(axis=1)
        return cheapest

    def decode(self, outputs: Batch, rows: Sequence[Row]) -> list[Prediction]:
        """Return the label with its share and the shares of all; where mistakes have costs, also the expected cost of the answer."""
        shares_BC = self.probabilities(outputs)
        answers_B = self.answers(outputs)
        predictions: list[Prediction] = [
            {"label": self.labels[best], "score": float(shares[best]), "scores": dict(zip(self.labels, shares.tolist(), strict=True))}
            for shares, best in zip(shares_BC, answers_B.tolist(), strict=True)
        ]
        if self.costs:
            for prediction, cost in zip(predictions, (shares_BC @ self._costs).min(axis=1).tolist(), strict=True):
                prediction["expected_cost"] = cost
        return predictions

    def confidence(self, outputs: Batch) -> NDArray:
        """Return the share of the likeliest label; with costs, how far the answer's cost is from the next best's: a half where they are equal.

        For two labels whose mistakes cost the same, both are the same number.
        """
        shares_BC = self.probabilities(outputs)
        if not self.costs:
            confidence: NDArray = shares_BC.max(axis=1)
            return confidence
        cost_B, next_B = np.partition(shares_BC @ self._costs, 1, axis=1)[:, :2].T
        apart: NDArray = np.divide(next_B, cost_B + next_B, out=np.ones_like(next_B), where=next_B > 0)
        return apart

    def agreement(self, ours: Batch, theirs: Batch) -> NDArray:
        same: NDArray = self.answers(ours) == self.answers(theirs)
        return same.astype(np.float64)

    def credit(self, outputs: Batch, rows: Sequence[Row]) -> NDArray:
        """Return 1 where the label is right, else 0; the mean is the accuracy. With costs 1 minus the answer's cost, the dearest counted as 1."""
        if not self.costs:
            right: NDArray = self.answers(outputs) == self.target_of(rows)
            return right.astype(np.float64)
        lost: NDArray = self._costs[self.target_of(rows), self.answers(outputs)] / self._costs.max()
        return 1 - lost

    @cached_property
    def _costs(self) -> NDArray:
        """Return (C, C)."""
        costs = np.ones((len(self.labels), len(self.labels))) - np.eye(len(self.labels))
        for truth, answers in self.costs.items():
            for answer, cost in answers.items():
                costs[self.labels.index(truth), self.labels.index(answer)] = cost
        return costs

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> list[Measurement]:
        """Accuracy with its exact interval and macro-F1 with a bootstrap interval; before them, where mistakes have costs, the mean cost."""
        index = {label: i for i, label in enumerate(self.labels)}
        guessed_B = np.array([index[p["label"]] for p in predictions], np.int64)
        true_B, n, width = self.target_of(rows), len(rows), len(self.labels)
        hits = int((true_B == guessed_B).sum())
        cells, place_B = np.unique(true_B * width + guessed_B, return_inverse=True)
        low, high = exact_interval(hits, n)
        f1_low, f1_high = percentile_interval(_f1_of_resamples(cells, place_B, width))
        confusion = np.bincount(true_B * width + guessed_B, minlength=width * width).reshape(width, width)
        paid = [_mean_cost(self._costs[true_B, guessed_B])] if self.costs else []
        return [
            *paid,
            Measurement("accuracy", hits / n, "", low, high, n, "exact binomial interval (Clopper–Pearson)"),
            Measurement("macro_f1", float(macro_f1(confusion)), "", f1_low, f1_high, n, f"percentile bootstrap, {RESAMPLES} resamples"),
        ]


def _f1_of_resamples(cells: NDArray, place_B: NDArray, width: int) -> NDArray:
    """Return (R,) macro-F1 of bootstrap resamples, from the occupied `cells` of the confusion table and the cell of each row."""
    counts = np.bincount(place_B, minlength=len(cells))
    draws = np.random.default_rng(0).multinomial(len(place_B), counts / len(place_B), size=RESAMPLES)
    values = np.empty(RESAMPLES)
    for r, draw in enumerate(draws):
        confusion = np.zeros(width * width, np.int64)
        confusion[cells] = draw
        values[r] = macro_f1(confusion.reshape(width, width))
    return values


def _mean_cost(paid_B: NDArray) -> Measurement:
    n = len(paid_B)
    means_R = resampled_sums(paid_B[:, None], RESAMPLES)[:, 0] / n
    low, high = percentile_interval(means_R[1:])
    return Measurement("mean_cost", float(means_R[0]), "", low, high, n, bootstrap_of(n, RESAMPLES), "lower")


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
