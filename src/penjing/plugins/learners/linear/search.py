"""Chooses the step size of the linear model, and the scale of its logits, by held-out rows. Knows nothing of texts or files.

Held out are the validation rows where they are enough to tell, and otherwise parts of the training rows, so that every row has its say.
Scaling is temperature scaling (Guo et al. 2017, section 4.2) of what the features say; the prior in the bias stays as it is.

Shapes: n training rows, m held-out rows, F features, C numbers a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_array

from penjing.core.protocols import Progress
from penjing.core.statistics import mean_loss
from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.linear.descent import RowsOfBatch, Settings, batches_of, descend, prior

RATES = (0.1, 0.3, 1.0)
ENOUGH = 500
"""Validation rows that choose by themselves."""
FOLDS = 5
FEW_FOR_FOLDS = 5000
"""Up to here every training row is held out once; of more, every tenth is."""
_SCALES = (0.2, 10.0)


@dataclass(frozen=True, slots=True)
class Data:
    rows: csr_array
    """(n + m, F) float32: training rows, then validation rows."""
    target: NDArray
    n: int
    spec: Spec


@dataclass(frozen=True, slots=True)
class Split:
    learnt: NDArray
    """Numbers of the rows to learn from."""
    watched: NDArray
    """Numbers of the rows to judge by."""


@dataclass(frozen=True, slots=True)
class Model:
    weights: NDArray
    """(F, C) float32."""
    bias: NDArray
    """(C,) float32."""
    signal: NDArray
    """(m, C): what the features say of the watched rows."""


def learn(data: Data, rate: float | None, settings: Settings, pool: ThreadPoolExecutor, progress: Progress) -> tuple[NDArray, NDArray]:
    """Return (F, C) float32 weights and (C,) bias, with the best of RATES where `rate` is None."""
    candidates = [replace(settings, rate=r) for r in (RATES if rate is None else (rate,))]
    splits = _splits(data, settings.seed)
    whole = len(splits) == 1 and len(splits[0].learnt) == data.n
    progress.start("linear", settings.epochs * (len(candidates) * len(splits) + (not whole)))
    batches = [batches_of(data.rows, data.target, split.learnt, settings.seed) for split in splits]
    jobs = [partial(_model, data, split, ready, candidate, progress) for candidate in candidates for split, ready in zip(splits, batches, strict=True)]
    models = list(pool.map(lambda job: job(), jobs))
    found = [_scale(data, splits, models[i : i + len(splits)]) for i in range(0, len(models), len(splits) or 1)] or [(1.0, 0.0)] * len(candidates)
    best = min(range(len(candidates)), key=lambda i: found[i][1])
    if whole:
        model = models[best]
    else:
        split = Split(np.arange(data.n), np.zeros(0, np.int64))
        model = _model(data, split, batches_of(data.rows, data.target, split.learnt, settings.seed), candidates[best], progress)
    progress.finish()
    return model.weights * np.float32(found[best][0]), model.bias


def _splits(data: Data, seed: int) -> list[Split]:
    """Return what to learn from and judge by; nothing where there is nothing to judge by."""
    everything, validation = np.arange(data.n), np.arange(data.n, data.rows.shape[0])
    if len(validation) >= ENOUGH:
        return [Split(everything, validation)]
    if data.n < 2:
        return [Split(everything, validation)] if len(validation) else []
    parts, used = (min(FOLDS, data.n), FOLDS) if data.n < FEW_FOR_FOLDS else (10, 1)
    part = np.random.default_rng(seed).permutation(data.n) % parts
    return [Split(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(min(parts, used))]


def _model(data: Data, split: Split, batches: Sequence[RowsOfBatch], settings: Settings, progress: Progress) -> Model:
    offset = prior(data.target[split.learnt], data.spec)
    weights, bias = descend(batches, data.rows.shape[1], data.spec, offset, settings, progress.advance)
    return Model(weights, bias, data.rows[split.watched] @ weights)


def _scale(data: Data, splits: Sequence[Split], models: Sequence[Model]) -> tuple[float, float]:
    """Return the factor of the features' share that gives the least loss on all watched rows, and that loss."""
    signal = np.concatenate([model.signal for model in models])
    bias = np.concatenate([np.tile(model.bias, (len(model.signal), 1)) for model in models])
    target = np.concatenate([data.target[split.watched] for split in splits])

    def loss(log: float) -> float:
        return mean_loss(signal * np.exp(log) + bias, target, data.spec.link)

    found = minimize_scalar(loss, bounds=np.log(_SCALES), method="bounded")
    return float(np.exp(found.x)), float(found.fun)
