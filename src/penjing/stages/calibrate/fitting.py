"""Finds the blend of some tiers that answers best: weights, calibration, and which kind of calibration. Knows arrays; no rows, no thresholds.

- `none`: the tier as it is, or the mean of several;
- `temperature`: one weight a tier, no less than zero (Guo et al. 2017, section 4.2), held towards their mean: where few rows are all right,
  no weight would be large enough;
- `vector`: a weight for each tier and answer and a bias for each answer (the same, "vector scaling"), held towards `temperature`;
- `isotonic`: `temperature`, and then one rising function of the probability, shared by all answers (Zhang, Kailkhura and Han 2020,
  "Mix-n-Match", section 4.1), which leaves the order of the answers as it is.

All are fitted by the mean loss that is canonical for the link, a proper score, and the kind is chosen by that of rows left out of the fit.

Shapes: B rows, K tiers, W width of the output, P knots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import isotonic_regression, minimize

from penjing.core.blend import Blend, Method, plain, standard
from penjing.core.statistics import mean_loss, probabilities
from penjing.core.types import Link, NDArray

METHODS: dict[Link, tuple[Method, ...]] = {
    "softmax": ("none", "temperature", "vector", "isotonic"),
    "sigmoid": ("none", "temperature", "vector", "isotonic"),
    "identity": ("none", "vector"),
}
"""Those that can be tried, the simplest first. Numbers have no probability that isotonic scaling could map."""
FOLDS = 5
FEW = 10
"""Rows below which nothing is fitted, and of which twice as many are needed to choose a method: below, the blend is the plain mean."""
_HELD = 3.0
"""Strength, in rows, of the pull of temperature scaling towards the mean, and of vector scaling towards temperature scaling."""
_LEAST = 1e-9


def fit(tiers: Sequence[str], said: Mapping[str, NDArray], target: NDArray, link: Link, method: Method) -> Blend:
    """Return the blend of `tiers` with the least mean loss against `target` ((B,) int64 for softmax, (B, W) float32 otherwise)."""
    z_KBW = np.stack([standard(said[tier], link) for tier in tiers])
    width = z_KBW.shape[2]
    if method == "none" or len(target) < FEW:
        return plain(tiers, width, link)
    if method == "vector":
        return Blend(tuple(tiers), link, method, *_vector(z_KBW, target, link))
    weights = _temperature(z_KBW, target, link)
    blend = Blend(tuple(tiers), link, method, weights, np.zeros(width))
    if method == "temperature":
        return blend
    shares_BW = probabilities(np.einsum("kbw,ki->bw", z_KBW, weights), link)
    return Blend(blend.tiers, link, method, weights, blend.bias, _knots(shares_BW, _one_hot(target, width, link)))


def cross_fitted(tiers: Sequence[str], said: Mapping[str, NDArray], target: NDArray, link: Link, method: Method, seed: int = 0) -> NDArray:
    """Return (B, W) float32: for each row the answer of a blend that was fitted without it."""
    n = len(target)
    if n < 2 * FEW:
        return plain(tiers, next(iter(said.values())).shape[1], link).apply(said)
    out_BW = np.empty(next(iter(said.values())).shape, np.float32)
    fold_B = np.random.default_rng(seed).permutation(n) % FOLDS
    for fold in range(FOLDS):
        inside, outside = fold_B != fold, fold_B == fold
        blend = fit(tiers, {tier: said[tier][inside] for tier in tiers}, target[inside], link, method)
        out_BW[outside] = blend.apply({tier: said[tier][outside] for tier in tiers})
    return out_BW


def chosen(tiers: Sequence[str], said: Mapping[str, NDArray], target: NDArray, link: Link) -> tuple[Blend, NDArray]:
    """Return the blend whose method has the least cross-fitted loss, fitted on all rows, and its cross-fitted (B, W) answers."""
    if len(target) < 2 * FEW:
        blend = plain(tiers, next(iter(said.values())).shape[1], link)
        return blend, blend.apply(said)
    tried = {method: cross_fitted(tiers, said, target, link, method) for method in METHODS[link]}
    losses = {method: mean_loss(logits, target, link) for method, logits in tried.items()}
    best = min(losses, key=lambda method: losses[method])
    return fit(tiers, said, target, link, best), tried[best]


def _temperature(z_KBW: NDArray, target: NDArray, link: Link) -> NDArray:
    """Return (K, 1) weights, none below zero."""

    def loss(weights_K: NDArray) -> tuple[float, NDArray]:
        value, residual_BW = _loss_and_residual(np.einsum("kbw,k->bw", z_KBW, weights_K), target, link)
        off_K = weights_K - start
        return value + held / 2 * float((off_K**2).sum()), np.einsum("kbw,bw->k", z_KBW, residual_BW) + held * off_K

    start, held = np.full(len(z_KBW), 1 / len(z_KBW)), _HELD / len(target)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(start))
    weights: NDArray = found.x[:, None]
    return weights if weights.sum() > _LEAST else start[:, None]


def _vector(z_KBW: NDArray, target: NDArray, link: Link) -> tuple[NDArray, NDArray]:
    """Return (K, W) weights and (W,) bias."""
    width = z_KBW.shape[2]
    if link == "identity":
        centre_KW = np.repeat(np.full((len(z_KBW), 1), 1 / len(z_KBW)), width, axis=1)
    else:
        centre_KW = np.repeat(_temperature(z_KBW, target, link), width, axis=1)
    held = _HELD / len(target)

    def loss(flat: NDArray) -> tuple[float, NDArray]:
        weights_KW, bias_W = flat[:-width].reshape(centre_KW.shape), flat[-width:]
        value, residual_BW = _loss_and_residual(np.einsum("kbw,kw->bw", z_KBW, weights_KW) + bias_W, target, link)
        off_KW = weights_KW - centre_KW
        gradient_KW = np.einsum("kbw,bw->kw", z_KBW, residual_BW) + held * off_KW
        penalty = held / 2 * float((off_KW**2).sum() + (bias_W**2).sum())
        return value + penalty, np.concatenate([gradient_KW.ravel(), residual_BW.sum(axis=0) + held * bias_W])

    found = minimize(loss, np.concatenate([centre_KW.ravel(), np.zeros(width)]), jac=True, method="L-BFGS-B")
    return found.x[:-width].reshape(centre_KW.shape), found.x[-width:]


def _loss_and_residual(logits_BW: NDArray, target: NDArray, link: Link) -> tuple[float, NDArray]:
    """Return the mean loss and its (B, W) gradient by the logits."""
    residual_BW = probabilities(logits_BW, link) - _one_hot(target, logits_BW.shape[1], link)
    scale = len(target) if link == "softmax" else residual_BW.size / (2 if link == "identity" else 1)
    return mean_loss(logits_BW, target, link), residual_BW / scale


def _one_hot(target: NDArray, width: int, link: Link) -> NDArray:
    """Return (B, W) float64."""
    if link == "softmax" and target.ndim == 1:
        return np.eye(width)[target]
    return np.asarray(target, np.float64)


def _knots(shares_BW: NDArray, true_BW: NDArray) -> NDArray:
    """Return (2, P): the rising step function nearest to what is true, as the middles of its steps, from 0 to 1."""
    order = np.lexsort((-true_BW.ravel(), shares_BW.ravel()))  # equal shares: falling, so that they become one step
    x = shares_BW.ravel()[order]
    y = isotonic_regression(true_BW.ravel()[order]).x
    starts = np.flatnonzero(np.r_[True, np.diff(y) > 0])
    sizes = np.diff(np.r_[starts, len(x)])
    middles = np.add.reduceat(x, starts) / sizes
    knots = np.array([np.r_[0.0, middles, 1.0], np.r_[y[0], y[starts], y[-1]]])
    return knots[:, np.r_[True, np.diff(knots[0]) > 0]]
