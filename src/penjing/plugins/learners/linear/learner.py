"""A generalised linear model on hashed n-grams: usable seconds after the run begins. Knows nothing of texts, only of counted features.

Features that a single training row has are left out (unless rows are very few), the rest weighed by idf = 1 + log((1 + n) / (1 + df)). The
penalty, unless given, is chosen by the loss on held-out rows: weaker and weaker, each model starting from the last, until it stops helping.
Held out are the validation rows or, where they are too few to tell, also folds of the training rows.

Shapes: n training rows, F features, C numbers a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from dataclasses import asdict, replace
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.sparse import csr_array, vstack

from penjing.core import plugins
from penjing.core.errors import PlanError, RunFailed
from penjing.core.examples import Examples
from penjing.core.files import read_json, write_json
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Batch, Estimate, Link, NDArray, Ragged, Row, Spec
from penjing.plugins.learners.linear.descent import Descent, Design
from penjing.plugins.learners.linear.options import Options

ENGINE = "sparse-linear"
EMPHASIS = (1.0, 0.5)
"""Length of a row's values in its groups of words and of characters; measured by benchmarks/linear.py."""
PENALTIES = tuple(4.0**-k for k in range(-2, 7))
TOLERANCE = 1e-3
ENOUGH_HELD_OUT = 500
"""Held-out rows that choose a penalty by themselves."""
FEW_ROWS = 100
"""Up to here features of a single row are kept."""
FEW_FOR_FOLDS = 2000
"""Fewer rows than this are held out in five folds, more in a single one of a tenth."""
WORTHWHILE = 0.002
"""Share of the held-out loss that a weaker penalty has to save for the search to go on."""
_CHUNK = 8192


class Linear:
    """Learns the weights; a `sparse-linear` engine runs them, here and when served."""

    processor: ClassVar[str] = "ngrams"
    Options: ClassVar[type[Options]] = Options

    def __init__(self, options: Options, output: str, spec: Spec, engine: Any = None) -> None:
        self.options, self.output, self.spec, self.engine = options, output, spec, engine

    @classmethod
    def create(cls, options: Options, outputs: Mapping[str, Spec]) -> Linear:
        if len(outputs) != 1:
            raise PlanError(f"The linear tier gives one array, and this task asks for {len(outputs)}: {', '.join(outputs)}. Leave the tier out.")
        [(output, spec)] = outputs.items()
        return cls(options, output, spec)

    @classmethod
    def open(cls, folder: Path) -> Linear:
        told = read_json(folder / "learner.json")
        engine = plugins.load("engines", ENGINE).open(folder)
        return cls(Options(**told["options"]), told["output"], Spec(**told["spec"]), engine)

    def save(self, folder: Path) -> None:
        write_json(folder / "learner.json", {"options": self.options.model_dump(mode="json"), "output": self.output, "spec": asdict(self.spec)})
        self._learnt().save(folder)

    def export(self, folder: Path) -> str:
        self._learnt().save(folder)
        return ENGINE

    def run(self, batch: Batch) -> Batch:
        outputs: Batch = self._learnt().run(batch)
        return outputs

    def _learnt(self) -> Any:
        if self.engine is None:
            raise RunFailed("The linear tier has not learnt yet. Call fit first.")
        return self.engine

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. A killed fit starts again and comes to the same weights."""
        fitting.progress.start("linear", self.options.epochs)
        engine = self._untaught(examples)
        rows = vstack([*_designs(engine, examples), *_designs(engine, validation)], format="csr")
        target = np.concatenate([examples.target, validation.target])
        with ThreadPoolExecutor(Machine.here().cores) as pool:
            search = Search(Design(rows, pool), target, len(examples), self.spec, self.options.epochs, fitting)
            weights, bias = search.weights(self.options.l2)
        self.engine = replace(engine, weights=weights, bias=bias)
        fitting.progress.finish()

    def _untaught(self, examples: Examples) -> Any:
        """Return an engine that knows the features and their idf, and no weights."""
        features = examples.inputs["features"]
        assert isinstance(features, Ragged)
        df = np.zeros(0, np.int64)
        for start in range(0, len(features.values), _CHUNK * 128):
            found = np.bincount(features.values[start : start + _CHUNK * 128], minlength=len(df))
            found[: len(df)] += df
            df = found
        kept = np.flatnonzero(df >= (1 if len(examples) <= FEW_ROWS else 2))
        kept = kept[np.argsort(-df[kept], kind="stable")].astype(np.int32)
        idf = (1 + np.log((1 + len(examples)) / (1 + df[kept]))).astype(np.float32)
        width = self.spec.width
        return plugins.load("engines", ENGINE)(kept, idf, np.array(EMPHASIS, np.float32), np.zeros((len(kept), width), np.float32), np.zeros(width, np.float32), self.output)


def _designs(engine: Any, examples: Examples) -> Iterator[csr_array]:
    """Yield the rows as the engine sees them, a few thousand at a time."""
    for start in range(0, len(examples), _CHUNK):
        yield engine.rows(examples.batch(np.arange(start, min(start + _CHUNK, len(examples))))[0])


class Search:
    """Goes down with weaker and weaker penalties until held-out rows say that it is enough."""

    def __init__(self, design: Design, target: NDArray, n: int, spec: Spec, epochs: int, fitting: Fitting) -> None:
        """The first `n` rows are the training rows, the others those of the validation."""
        self.design, self.target, self.n, self.spec, self.epochs, self.fitting = design, target, n, spec, epochs, fitting

    def weights(self, l2: float | Literal["auto"]) -> tuple[NDArray, NDArray]:
        """Return (F, C) weights and (C,) bias for the penalty `l2`."""
        whole = self._descent(np.zeros(self.n, np.bool_))
        if l2 == "auto" and len(whole.watched) >= ENOUGH_HELD_OUT:
            dual = self._chosen([whole])[1]
        else:
            l2 = self._chosen(folds)[0] if l2 == "auto" and (folds := self._folds()) else 1.0 if l2 == "auto" else l2
            for penalty in [*(p for p in PENALTIES if p > l2), l2]:
                self._go(whole, penalty)
            dual = whole.at.dual
        weights, bias = self.design.weights(dual)
        return weights, bias + whole.offset

    def _chosen(self, descents: list[Descent]) -> tuple[float, NDArray]:
        """Return the penalty whose held-out loss is the lowest, and the dual of the first descent there."""
        best, lowest, dual = PENALTIES[0], math.inf, descents[0].at.dual
        for penalty in PENALTIES:
            for descent in descents:
                self._go(descent, penalty)
            loss = sum(descent.watched_loss() for descent in descents) / len(descents)
            enough = loss > lowest * (1 - WORTHWHILE)
            if loss < lowest:
                best, lowest, dual = penalty, loss, descents[0].at.dual
            if enough:
                break
        return best, dual

    def _folds(self) -> list[Descent]:
        """Return models that each leave out, and watch, some of the training rows; none where there is nothing to leave out."""
        if self.n < 2:
            return []
        parts, used = (min(5, self.n), min(5, self.n)) if self.n < FEW_FOR_FOLDS else (10, 1)
        part = np.random.default_rng(self.fitting.seed).permutation(self.n) % parts
        return [self._descent(part == i) for i in range(used)]

    def _descent(self, left_out: NDArray) -> Descent:
        """Return a model that learns from the training rows but for those `left_out` (n,), and watches all others."""
        learnt = np.flatnonzero(~left_out)
        watched = np.concatenate([np.flatnonzero(left_out), np.arange(self.n, len(self.target))])
        return Descent(self.design, self.target, learnt, watched, self.spec.link, prior(self.target[learnt], self.spec))

    def _go(self, descent: Descent, penalty: float) -> None:
        descent.minimise(penalty / len(descent.learnt), TOLERANCE, self.epochs - descent.passes, lambda: self.fitting.progress.advance(1))


def prior(target: NDArray, spec: Spec) -> NDArray:
    """Return the (C,) float32 logits of a model that knows no features."""
    n = len(target)
    if spec.link == "softmax":
        return np.log((np.bincount(target, minlength=spec.width) + 1) / (n + spec.width)).astype(np.float32)
    if spec.link == "sigmoid":
        share = (target.sum(0, dtype=np.float64) + 0.5) / (n + 1)
        return np.log(share / (1 - share)).astype(np.float32)
    return target.mean(0, dtype=np.float64).astype(np.float32)
