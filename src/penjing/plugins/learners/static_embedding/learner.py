"""Word vectors, averaged, with a linear head: between the linear tier and the transformer. Knows nothing of texts, only of counted words.

A row is the sum of its words' vectors, each (1 + log count) * idf times, the whole brought to length 1 as the linear tier does it; idf is
1 + log((1 + n) / (1 + df)), which holds frequent words back much as the a / (a + p) of SIF does (Arora et al. 2017, section 3). What a
head makes of such a sum is the sum of what it makes of each word. So the product of vectors and head is what is kept and served, by the
engine `sparse-linear`: C numbers a word, however many dimensions they were learnt in.

Shapes: n training rows, V words kept, D dimensions, C numbers a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from scipy.sparse import csr_array, vstack

from penjing.core import plugins
from penjing.core.errors import PlanError, RunFailed
from penjing.core.examples import Examples
from penjing.core.files import read_json, write_json
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Batch, Estimate, NDArray, Ragged, Row, Spec
from penjing.plugins.learners.static_embedding import options as settings
from penjing.plugins.learners.static_embedding import planning, start
from penjing.plugins.learners.static_embedding.descent import Data, Model, Settings, descend
from penjing.training.losses import prior, scaled

ENGINE = "sparse-linear"
FEW_ROWS = 100
"""Up to here words of a single row are kept."""
ENOUGH = 50
"""Validation rows that choose by themselves; with fewer, a fifth of the training rows is held out as well."""
_HELD_OUT = 5
_CHUNK = 8192


class StaticEmbedding:
    """Learns the vectors and the head; a `sparse-linear` engine runs their product, here and when served."""

    processor: ClassVar[str] = start.PROCESSOR
    Options: ClassVar[type[settings.Options]] = settings.Options

    def __init__(self, options: settings.Options, output: str, spec: Spec, engine: Any = None) -> None:
        self.options, self.output, self.spec, self.engine = options, output, spec, engine

    @classmethod
    def create(cls, options: settings.Options, outputs: Mapping[str, Spec]) -> StaticEmbedding:
        if len(outputs) != 1:
            asked = f"{len(outputs)}: {', '.join(outputs)}"
            raise PlanError(f"The static-embedding tier gives one array, and this task asks for {asked}. Leave the tier out.")
        [(output, spec)] = outputs.items()
        return cls(options, output, spec)

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Raises PlanError for more than one output and for vectors that are not there or know too few words, DataError for a broken file."""
        cls.create(options, outputs)
        return planning.estimate(options, rows, columns, outputs, machine, count)

    @classmethod
    def open(cls, folder: Path) -> StaticEmbedding:
        told = read_json(folder / "learner.json")
        engine = plugins.load("engines", ENGINE).open(folder)
        return cls(settings.Options(**told["options"]), told["output"], Spec(**told["spec"]), engine)

    def save(self, folder: Path) -> None:
        write_json(folder / "learner.json", {"options": self.options.model_dump(mode="json"), "output": self.output, "spec": asdict(self.spec)})
        self._learnt().save(folder)

    def export(self, folder: Path) -> str:
        self._learnt().save(folder)
        return ENGINE

    def run(self, batch: Batch) -> Batch:
        outputs: Batch = self._learnt().run(batch)
        return outputs

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield the steps of the engine that runs what was learnt, by name."""
        yield from self._learnt().layers(batch)

    def _learnt(self) -> Any:
        if self.engine is None:
            raise RunFailed("The static-embedding tier has not learnt yet. Call fit first.")
        return self.engine

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. A killed fit starts again and comes to the same weights."""
        source = start.Source.of(self.options)
        numbers, idf = self._vocabulary(examples, source, fitting)
        untaught = self._engine(numbers, idf, np.zeros((len(numbers), self.spec.width), np.float32), np.zeros(self.spec.width, np.float32))
        data = _held_apart(untaught, examples, validation, self.spec, fitting.seed)
        vectors = start.vectors_of(self.options, source, numbers, {self.output: self.spec}, fitting)
        head = np.zeros((vectors.shape[1], self.spec.width), np.float32)
        model = Model(vectors, head, prior(np.asarray(examples.target), self.spec))
        chosen = Settings(self.options.learning_rate, self.options.epochs, fitting.seed, self.options.tune == "full")
        fitting.progress.start("static embedding", self.options.epochs)
        model = descend(model, data, chosen, fitting.progress.advance)
        fitting.progress.finish()
        weights = model.vectors @ model.head
        if len(data.held_out_target):
            weights *= np.float32(scaled(data.held_out @ weights, model.bias, data.held_out_target, self.spec.link)[0])
        self.engine = self._engine(numbers, idf, weights, model.bias)

    def _engine(self, numbers: NDArray, idf: NDArray, weights: NDArray, bias: NDArray) -> Any:
        return plugins.load("engines", ENGINE)(numbers, idf, np.ones(2, np.float32), weights, bias, self.output)

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
    target = np.asarray(examples.target)
    held_out_target = validation.target.reshape(len(validation), *target.shape[1:]).astype(target.dtype)
    if len(held_out_target) < ENOUGH and len(target) >= 2 * _HELD_OUT:
        apart = np.random.default_rng(seed).permutation(len(target)) % _HELD_OUT == 0
        held_out = vstack([held_out, rows[apart]], format="csr")
        held_out_target = np.concatenate([held_out_target, target[apart]])
        rows, target = rows[~apart], target[~apart]
    return Data(rows, target, held_out, held_out_target, spec)


def _designs(engine: Any, examples: Examples) -> Iterator[csr_array]:
    """Yield the rows as the engine sees them, a few thousand at a time; one matrix without rows where there are none."""
    for first in range(0, max(len(examples), 1), _CHUNK):
        yield engine.rows(examples.batch(np.arange(first, min(first + _CHUNK, len(examples))))[0])
