"""Chooses the step size of the linear model, and the scale of its logits, by held-out rows. Knows nothing of texts or files.

Held out are the validation rows where they are enough to tell, and otherwise parts of the training rows, so that every row has its say.
Scaling is temperature scaling (Guo et al. 2017, section 4.2) of what the features say; the prior in the bias stays as it is.

Shapes: n training rows, m held-out rows, F features, C numbers a row.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.sparse import csr_array

from penjing.core.errors import Interrupted
from penjing.core.machine import Machine
from penjing.core.protocols import Progress
from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.linear.descent import Settings, batches_of, descend
from penjing.training.losses import prior, scaled

RATES = (0.3, 1.0)
RATES_OF_FEW = (0.1, *RATES)
"""With fewer rows than FEW: where shorter steps were measured to be the best, it was there."""
ENOUGH = 500
"""Validation rows that choose by themselves."""
FOLDS = 5
FEW = 5000
"""Up to here every training row is held out once; of more, every tenth is."""


@dataclass(frozen=True, slots=True)
class Data:
    rows: csr_array
    """(n + m, F) float32: training rows, then validation rows."""
    target: NDArray
    """(n + m,) int64, or (n + m, C) float32: shares of the classes for softmax."""
    weight: NDArray | None
    """(n,) how much each training row counts; None where all count alike."""
    n: int
    spec: Spec


@dataclass(frozen=True, slots=True)
class Split:
    learnt: NDArray
    """Numbers of the rows to learn from."""
    watched: NDArray
    """Numbers of the rows to judge by."""


def learn(data: Data, rate: float | None, settings: Settings, progress: Progress) -> tuple[NDArray, NDArray]:
    """Return (F, C) float32 weights and (C,) bias, with the best rate where `rate` is None. Models are learnt side by side, each by one thread."""
    candidates = [replace(settings, rate=r) for r in ((rate,) if rate is not None else rates_for(data.n))]
    splits = _splits(data, settings.seed)
    whole = len(splits) == 1 and len(splits[0].learnt) == data.n
    with _Learning(data, progress) as learning:
        progress.start("linear", settings.epochs * (len(candidates) * len(splits) + (not whole)))
        models = learning.all([partial(learning.model, split, candidate, keep=whole) for candidate in candidates for split in splits])
        found = [_scale(data, splits, models[i * len(splits) :][: len(splits)]) for i in range(len(candidates))]
        best = min(range(len(candidates)), key=lambda i: found[i][1])
        everything = Split(np.arange(data.n), np.zeros(0, np.int64))
        model = models[best] if whole else learning.model(everything, candidates[best], keep=True)
        progress.finish()
    return model.weights * np.float32(found[best][0]), model.bias


@dataclass(frozen=True, slots=True)
class _Model:
    weights: NDArray
    """(F, C) float32; empty where they were not to be kept."""
    bias: NDArray
    """(C,) float32."""
    signal: NDArray
    """(m, C): what the features say of the watched rows."""


class _Learning:
    """Threads that learn models, until the block ends or is interrupted."""

    def __init__(self, data: Data, progress: Progress) -> None:
        self.data, self.progress = data, progress
        self.pool, self.told, self.stopped = ThreadPoolExecutor(Machine.here().cores), threading.Lock(), threading.Event()

    def __enter__(self) -> _Learning:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.pool.shutdown(cancel_futures=True)

    def all(self, jobs: Sequence[Callable[[], _Model]]) -> list[_Model]:
        return list(self.pool.map(lambda job: job(), jobs))

    def model(self, split: Split, settings: Settings, keep: bool) -> _Model:
        batches = batches_of(self.data.rows, self.data.target, split.learnt, settings.seed, self.data.weight)
        weight = None if self.data.weight is None else self.data.weight[split.learnt]
        offset = prior(self.data.target[split.learnt], self.data.spec, weight)
        weights, bias = descend(batches, self.data.rows.shape[1], self.data.spec, offset, settings, self._advance)
        return _Model(weights if keep else weights[:0].copy(), bias, self.data.rows[split.watched] @ weights)

    def _advance(self, epochs: float) -> None:
        if self.stopped.is_set():
            raise Interrupted("Interrupted while learning the linear tier. Run the same command again.")
        with self.told:
            self.progress.advance(epochs)


def rates_for(n: int) -> tuple[float, ...]:
    """Return the step sizes that are tried on `n` rows."""
    return RATES_OF_FEW if n < FEW else RATES


def _splits(data: Data, seed: int) -> list[Split]:
    """Return what to learn from and judge by; nothing where there is nothing to judge by."""
    everything, validation = np.arange(data.n), np.arange(data.n, data.rows.shape[0])
    if len(validation) >= ENOUGH:
        return [Split(everything, validation)]
    if data.n < 2:
        return [Split(everything, validation)] if len(validation) else []
    parts, used = (min(FOLDS, data.n), FOLDS) if data.n < FEW else (10, 1)
    part = np.random.default_rng(seed).permutation(data.n) % parts
    return [Split(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(min(parts, used))]


def _scale(data: Data, splits: Sequence[Split], models: Sequence[_Model]) -> tuple[float, float]:
    """Return the factor of the features' share that gives the least loss on all watched rows, and that loss."""
    if not splits:
        return 1.0, 0.0
    signal = np.concatenate([model.signal for model in models])
    bias = np.concatenate([np.tile(model.bias, (len(model.signal), 1)) for model in models])
    target = np.concatenate([data.target[split.watched] for split in splits])
    return scaled(signal, bias, target, data.spec.link)
