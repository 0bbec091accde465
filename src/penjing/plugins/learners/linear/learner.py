"""A generalised linear model on hashed n-grams: usable seconds after the run begins. Knows nothing of texts, only of counted features.

Features that a single training row has are left out (unless rows are few), the rest weighed by idf = 1 + log((1 + n) / (1 + df)).

Shapes: n training rows, F features, C numbers a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import numpy as np
from scipy.sparse import csr_array, vstack

from penjing.core import plugins
from penjing.core.examples import Examples
from penjing.core.learning.learnt import ServedAsLearnt
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Estimate, Ragged, Row, Spec
from penjing.plugins.learners.linear import options as settings
from penjing.plugins.learners.linear.descent import Settings
from penjing.plugins.learners.linear.search import ENOUGH, FEW, FOLDS, Data, learn, rates_for

EMPHASIS = (1.0, 0.5)
"""Length of a row's values in its groups of words and of characters. Equal lengths, or one for all, gave a higher test loss on 20 Newsgroups."""
FEW_ROWS = 100
"""Up to here features of a single row are kept."""
_CHUNK = 8192
_SAMPLE = 200
_ENCODE_NS, _VALUE_NS, _WIDTH_NS = 60, 35, 2.5
"""Time to encode a value, and to learn from it in an epoch: a part that is always there and one for each of the C numbers. Measured on one core
of an AMD EPYC of 2.6 GHz, with a busy neighbour.
"""
_NEW = 0.05
"""Features per value; measured on 20 Newsgroups and its pieces of 120 characters."""
_BASE_BYTES = 220 << 20


class Linear(ServedAsLearnt):
    """Learns the weights; a `sparse-linear` engine runs them, here and when served."""

    tier, runtime = "linear", "sparse-linear"
    processor: ClassVar[str] = "ngrams"
    Options: ClassVar[type[settings.Options]] = settings.Options
    options: settings.Options

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Return what learning from `count` rows like `rows` costs, from their own number of features. Raises PlanError for more than one output."""
        spec = cls.create(options, outputs).spec
        processor = plugins.load("processors", cls.processor)
        given = processor.options_from(rows, columns, options.resolved())
        encoded = processor(**given).encode(rows[:_SAMPLE])
        values = count * len(encoded["features"].values) / max(len(rows[:_SAMPLE]), 1)
        features = min(float(options.buckets), _NEW * values)
        models = _models(options, count)
        fits = min(models, machine.cores)
        seconds = _ENCODE_NS * values / machine.cores + (_VALUE_NS + _WIDTH_NS * spec.width) * values * options.epochs * models / fits
        weights = features * (12 + 4 * spec.width)
        memory, disk = _BASE_BYTES + 8 * values * (2 + fits) + weights * (fits + 2), 6 * values + weights
        why = f"{values / max(count, 1):.0f} features a row, {models} models"
        return Estimate(round(1 + seconds / 1e9, 1), int(memory), int(disk), why)

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. A killed fit starts again and comes to the same weights."""
        engine = self._untaught(examples)
        rows = vstack([*_designs(engine, examples), *_designs(engine, validation)], format="csr")
        held_out = validation.target.reshape(len(validation), *examples.target.shape[1:]).astype(examples.target.dtype)
        data = Data(rows, np.concatenate([examples.target, held_out]), examples.weight, len(examples), self.spec)
        rate = None if self.options.learning_rate == "auto" else self.options.learning_rate
        weights, bias = learn(data, rate, Settings(0.0, self.options.l2, self.options.epochs, fitting.seed), fitting.progress)
        self.engine = replace(engine, weights=weights, bias=bias)

    def _untaught(self, examples: Examples) -> Any:
        """Return an engine that knows the features and their idf, and no weights."""
        features = cast(Ragged, examples.inputs["features"])
        df = np.zeros(0, np.int64)
        for start in range(0, len(features.values), _CHUNK * 128):
            found = np.bincount(features.values[start : start + _CHUNK * 128], minlength=len(df))
            found[: len(df)] += df
            df = found
        kept = np.flatnonzero(df >= (1 if len(examples) <= FEW_ROWS else 2))
        kept = kept[np.argsort(-df[kept], kind="stable")].astype(np.int32)
        idf = (1 + np.log((1 + len(examples)) / (1 + df[kept]))).astype(np.float32)
        width = self.spec.width
        return plugins.load("engines", self.runtime)(
            kept, idf, np.array(EMPHASIS, np.float32), np.zeros((len(kept), width), np.float32), np.zeros(width, np.float32), self.output
        )


def _models(options: settings.Options, count: int) -> int:
    """Return how many models will be learnt from `count` training rows, given the usual share of validation rows."""
    rates = len(rates_for(count)) if options.learning_rate == "auto" else 1
    return rates * FOLDS + 1 if count < min(FEW, 10 * ENOUGH) else rates


def _designs(engine: Any, examples: Examples) -> Iterator[csr_array]:
    """Yield the rows as the engine sees them, a few thousand at a time."""
    for start in range(0, len(examples), _CHUNK):
        yield engine.rows(examples.batch(np.arange(start, min(start + _CHUNK, len(examples))))[0])
