"""A linear head over fixed features: a generalised linear model by L-BFGS, its L2 chosen on validation rows. Numpy and scipy only.

Features are standardised while learning, which makes one grid of L2 fit every encoder, and the scaling is folded into the head returned.

Shapes: N rows, H features, W width of the output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from penjing.core.statistics import mean_loss, probabilities
from penjing.core.types import Link, NDArray

_L2 = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
"""Candidates, strongest first: weight of half the squared weights of standardised features, beside the mean loss."""
_L2_UNTRIED = 0.03
"""Taken where there are no validation rows to choose by."""
_PATIENCE = 2
"""Candidates in a row without a better validation loss after which the weaker ones are left untried."""


@dataclass(frozen=True, slots=True)
class Head:
    weight: NDArray
    """(W, H) float64."""
    bias: NDArray
    """(W,) float64."""
    l2: float
    loss: float
    """Mean loss on validation rows; NaN where there were none."""

    def logits(self, features_NH: NDArray) -> NDArray:
        """Return (N, W) float64."""
        result: NDArray = features_NH @ self.weight.T + self.bias
        return result


def learn(
    features_NH: NDArray,
    target: NDArray,
    validation_NH: NDArray,
    validation_target: NDArray,
    width: int,
    link: Link,
    weight: NDArray | None = None,
) -> Head:
    """Return the head with the least validation loss on the path of L2 candidates, each started from the one before.

    Targets: (N,) int64 classes or (N, W) shares of the classes for softmax, (N, W) otherwise. weight: (N,), how much each training row counts.
    """
    mean_H = features_NH.mean(axis=0, dtype=np.float64)
    scale_H = features_NH.std(axis=0, dtype=np.float64) + 1e-6
    x_NH = (features_NH - mean_H) / scale_H
    parameters = np.zeros((width, x_NH.shape[1] + 1))
    best: Head | None = None
    waited = 0
    for l2 in _L2 if len(validation_target) else (_L2_UNTRIED,):
        parameters = _fitted(parameters, x_NH, target, l2, link, weight)
        weight_WH = parameters[:, :-1] / scale_H
        head = Head(weight_WH, parameters[:, -1] - weight_WH @ mean_H, l2, float("nan"))
        if len(validation_target):
            head = Head(head.weight, head.bias, l2, mean_loss(head.logits(validation_NH), validation_target, link))
        if best is None or head.loss < best.loss:
            best, waited = head, 0
        elif (waited := waited + 1) == _PATIENCE:
            break
    assert best is not None  # noqa: S101  # the path has at least one candidate
    return best


def loss_and_gradient(
    parameters_WH1: NDArray, x_NH: NDArray, target: NDArray, l2: float, link: Link, weight: NDArray | None = None
) -> tuple[float, NDArray]:
    """Return the mean canonical loss plus L2/2 |weights|^2 (the bias, last column, is free) and its gradient, (W, H + 1).

    The gradient of a generalised linear model's loss is the residual times the input (McCullagh and Nelder 1989, section 2.5);
    `mean_loss` averages over W for sigmoid and identity, and squares without halving for identity.
    """
    weight_WH, bias_W = parameters_WH1[:, :-1], parameters_WH1[:, -1]
    logits_NW = x_NH @ weight_WH.T + bias_W
    residual_NW = probabilities(logits_NW, link)
    if link == "softmax":
        if target.ndim == 1:
            residual_NW[np.arange(len(target)), target] -= 1
        else:
            residual_NW -= target
        residual_NW /= len(target)
    else:
        residual_NW = (residual_NW - target) * ((2 if link == "identity" else 1) / target.size)
    if weight is not None:
        residual_NW *= weight[:, None]
    gradient = np.concatenate([residual_NW.T @ x_NH + l2 * weight_WH, residual_NW.sum(axis=0)[:, None]], axis=1)
    return mean_loss(logits_NW, target, link, weight) + l2 / 2 * float((weight_WH**2).sum()), gradient


def taught(logits_NW: NDArray, target: NDArray, link: Link) -> NDArray:
    """Return what a pupil learns: half a teacher's answer (`logits_NW`) and half the target; for identity the teacher's value alone.

    (N, W) float32. Distillation at temperature 1 (Hinton, Vinyals and Dean 2015, section 2).
    """
    if link == "identity":
        return logits_NW.astype(np.float32)
    truth_NW = np.eye(logits_NW.shape[1])[target] if target.ndim == 1 else np.asarray(target)
    mixed_NW: NDArray = (probabilities(logits_NW, link) + truth_NW) / 2
    return mixed_NW.astype(np.float32)


def _fitted(start: NDArray, x_NH: NDArray, target: NDArray, l2: float, link: Link, weight: NDArray | None) -> NDArray:
    def function(flat: NDArray) -> tuple[float, NDArray]:
        loss, gradient = loss_and_gradient(flat.reshape(start.shape), x_NH, target, l2, link, weight)
        return loss, gradient.ravel()

    found = minimize(function, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 300, "ftol": 1e-9, "gtol": 1e-5})
    result: NDArray = found.x.reshape(start.shape)
    return result
