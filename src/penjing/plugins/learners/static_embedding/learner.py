"""Word vectors, averaged, with a linear head: between the linear tier and the transformer. Knows nothing of texts, only of counted words.

A row is the sum of its words' vectors, each (1 + log count) * idf times, the whole brought to length 1 as the linear tier does it; idf is
1 + log((1 + n) / (1 + df)), which holds frequent words back much as the a / (a + p) of SIF does (Arora et al. 2017, section 3). What a
head makes of such a sum is the sum of what it makes of each word. So the product of vectors and head is what is kept and served, by the
engine `sparse-linear`: C numbers a word, however many dimensions they were learnt in.

Shapes: n training rows, V words kept, D dimensions, C numbers a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
from scipy.sparse import csr_array, vstack

from penjing.core import plugins
from penjing.core.examples import Examples
from penjing.core.learning.learnt import ServedAsLearnt
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Estimate, NDArray, Ragged, Row, Spec
from penjing.plugins.learners.static_embedding import options as settings
from penjing.plugins.learners.static_embedding import planning, start
from penjing.plugins.learners.static_embedding.descent import Data, Model, Settings, descend
from penjing.training.losses import prior, scaled

FEW_ROWS = 100
"""Up to here words of a single row are kept."""
ENOUGH = 50
"""Validation rows that choose by themselves; with fewer, a fifth of the training rows is held out as well."""
_HELD_OUT = 5
_CHUNK = 8192


class StaticEmbedding(ServedAsLearnt):
    """Learns the vectors and the head; a `sparse-linear` engine runs their product, here and when served."""

    tier, runtime = "static-embedding", "sparse-linear"
    processor: ClassVar[str] = start.PROCESSOR
    Options: ClassVar[type[settings.Options]] = settings.Options
    options: settings.Options

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Raises PlanError for more than one output and for vectors that are not there or know too few words, DataError for a broken file."""
        cls.create(options, outputs)
        return planning.estimate(options, rows, columns, outputs, machine, count)

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. A killed fit starts again and comes to the same weights."""
        source = start.Source.of(self.options)
        numbers, idf = self._vocabulary(examples, source, fitting)
        untaught = self._engine(numbers, idf, np.zeros((len(numbers), self.spec.width), np.float32), np.zeros(self.spec.width, np.float32))
        data = _held_apart(untaught, examples, validation, self.spec, fitting.seed)
        vectors = start.vectors_of(self.options, source, numbers, {self.output: self.spec}, fitting)
        head = np.zeros((vectors.shape[1], self.spec.width), np.float32)
        model = Model(vectors, head, prior(np.asarray(examples.target), self.spec, examples.weight))
        chosen = Settings(self.options.learning_rate, self.options.epochs, fitting.seed, self.options.tune == "full")
        fitting.progress.start("static embedding", self.options.epochs)
        model = descend(model, data, chosen, fitting.progress.advance)
        fitting.progress.finish()
        weights = model.vectors @ model.head
        if len(data.held_out_target):
            weights *= np.float32(scaled(data.held_out @ weights, model.bias, data.held_out_target, self.spec.link)[0])
        self.engine = self._engine(numbers, idf, weights, model.bias)

    def _engine(self, numbers: NDArray, idf: NDArray, weights: NDArray, bias: NDArray) -> Any:
        return plugins.load("engines", self.runtime)(numbers, idf, np.ones(2, np.float32), weights, bias, self.output)

    def _vocabulary(self, examples: Examples, source: start.Source, fitting: Fitting) -> tuple[NDArray, NDArray]:
        """Return (V,) int32 numbers of the words kept and (V,) float32 idf. Raises PlanError where too few have a vector."""
        features, counts = cast(Ragged, examples.inputs["features"]).values, cast(Ragged, examples.inputs["counts"]).values
        if self.options.vectors != settings.LEARNT:
            share = source.covers(features, counts)
            start.check_covered(self.options, share)
            fitting.progress.say(f"{share:.0%} of the words in the training rows have a vector in {self.options.vectors}.")
        df = np.bincount(features, minlength=int(source.numbers.max(initial=0)) + 1)
        seen = np.flatnonzero(df >= (1 if len(examples) <= FEW_ROWS else 2))
        numbers = start.chosen(self.options, source, seen[np.argsort(-df[seen], kind="stable")])
        return numbers, (1 + np.log((1 + len(examples)) / (1 + df[numbers]))).astype(np.float32)


def _held_apart(engine: Any, examples: Examples, validation: Examples, spec: Spec, seed: int) -> Data:
    """Return the rows to learn from and those to judge by: the validation rows, and a part of the training rows where these are too few."""
    rows, held_out = vstack([*_designs(engine, examples)], format="csr"), vstack([*_designs(engine, validation)], format="csr")
    target, weight = np.asarray(examples.target), examples.weight
    held_out_target = validation.target.reshape(len(validation), *target.shape[1:]).astype(target.dtype)
    if len(held_out_target) < ENOUGH and len(target) >= 2 * _HELD_OUT:
        apart = np.random.default_rng(seed).permutation(len(target)) % _HELD_OUT == 0
        held_out = vstack([held_out, rows[apart]], format="csr")
        held_out_target = np.concatenate([held_out_target, target[apart]])
        rows, target, weight = rows[~apart], target[~apart], None if weight is None else weight[~apart]
    return Data(rows, target, held_out, held_out_target, spec, weight)


def _designs(engine: Any, examples: Examples) -> Iterator[csr_array]:
    """Yield the rows as the engine sees them, a few thousand at a time; one matrix without rows where there are none."""
    for first in range(0, max(len(examples), 1), _CHUNK):
        yield engine.rows(examples.batch(np.arange(first, min(first + _CHUNK, len(examples))))[0])
