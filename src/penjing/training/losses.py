"""The canonical losses of a generalised linear model: gradient, prior, and the scale that is right on held-out rows. Numpy and scipy only.

Knows nothing of features, nor of how weights are found: learners that descend in different ways share it.

Shapes: n rows, B rows of a batch, C numbers a row.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from penjing.core.statistics import mean_loss
from penjing.core.types import Link, NDArray, Spec

_LEAST, _MOST = 0.2, 10.0
"""Bounds of the scale."""


def residual_of(logits: NDArray, target: NDArray, link: Link, weight: NDArray | None = None) -> NDArray:
    """Return (B, C) float32, the gradient by the logits of the mean over rows of the loss: cross-entropy in nats (summed over the C answers
    for sigmoid), or half the squared error, summed.

    target: (B,) int64 classes or (B, C) shares of the classes for softmax, (B, C) otherwise. weight: (B,), how much each row counts.
    """
    if link == "softmax":
        residual: NDArray = np.exp(logits - logits.max(axis=1, keepdims=True))
        residual /= residual.sum(axis=1, keepdims=True)
        if target.ndim == 1:
            residual[np.arange(len(target)), target] -= 1
        else:
            residual -= target
    else:
        residual = (expit(logits) if link == "sigmoid" else logits) - target
    residual /= np.float32(len(target))
    if weight is not None:
        residual *= weight[:, None].astype(np.float32)
    return residual


def prior(target: NDArray, spec: Spec, weight: NDArray | None = None) -> NDArray:
    """Return the (C,) float32 logits of a model that knows no features; `target` and `weight` as `residual_of` takes them."""
    weight = np.ones(len(target)) if weight is None else weight.astype(np.float64)
    n = weight.sum()
    if spec.link == "softmax":
        counts = np.bincount(target, weight, minlength=spec.width) if target.ndim == 1 else weight @ target.astype(np.float64)
        logits: NDArray = np.log((counts + 1) / (n + spec.width))
    elif spec.link == "sigmoid":
        share = (weight @ target.astype(np.float64) + 0.5) / (n + 1)
        logits = np.log(share / (1 - share))
    else:
        logits = weight @ target.astype(np.float64) / n
    return logits.astype(np.float32)


def scaled(signal: NDArray, bias: NDArray, target: NDArray, link: Link, most: float = _MOST) -> tuple[float, float]:
    """Return the factor of `signal` (n, C), what the features say beside the `bias`, that gives the least mean loss, and that loss.

    most: the largest factor that may be.

    Temperature scaling (Guo et al. 2017, section 4.2) of the features' share; the bias stays as it is.
    """

    def loss(log: float) -> float:
        return mean_loss(signal * math.exp(log) + bias, target, link)

    found = minimize_scalar(loss, bounds=(math.log(_LEAST), math.log(most)), method="bounded")
    return math.exp(found.x), float(found.fun)
