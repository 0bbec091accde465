"""A linear head over a thousand features and more, that hang together: what training/heads.py learns, in a tenth of the time. Numpy and scipy only.

The loss curves most where features vary together and least where they hardly vary, which is what L-BFGS is slow at. So the features are turned
onto their principal axes, and each axis is measured in units in which the loss curves alike (the Hessian of a generalised linear model is about
s * covariance + L2; Nocedal and Wright 2006, section 5.1 on preconditioning). Neither changes what the best head is, only how soon it is found.

Shapes: N rows, H features, R axes, W width of the output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from penjing.core.statistics import mean_loss, probabilities
from penjing.core.types import Link, NDArray
from penjing.training.heads import Head, loss_and_gradient

_L2 = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Candidates, strongest first: weight of half the squared weights of standardised features, beside the mean loss."""
_L2_UNTRIED = 0.03
"""Taken where there are no validation rows to choose by."""
_FLAT = 1e-7
"""Axes with less of the largest variance than this are rounding errors."""


def learn(
    features_NH: NDArray, target: NDArray, validation_NH: NDArray, validation_target: NDArray, width: int, link: Link, weight: NDArray | None = None
) -> Head:
    """Return the head with the least validation loss on the path of L2 candidates, which ends where the loss rises. As `heads.learn` otherwise."""
    turned = _Turned.of(features_NH)
    x_NR = turned(features_NH)
    validation_MR = turned(validation_NH)
    parameters_WR1 = np.zeros((width, x_NR.shape[1] + 1))
    best, best_loss, best_l2 = parameters_WR1, float("nan"), _L2_UNTRIED
    for l2 in _L2 if len(validation_target) else (_L2_UNTRIED,):
        parameters_WR1 = _fitted(parameters_WR1, x_NR, target, l2, link, weight, turned.variance)
        loss = float("nan")
        if len(validation_target):
            loss = mean_loss(_logits(parameters_WR1, validation_MR), validation_target, link)
            if loss > best_loss:
                break
        best, best_loss, best_l2 = parameters_WR1, loss, l2
    weight_WH = (best[:, :-1] @ turned.axes.T) / turned.scale
    return Head(weight_WH, best[:, -1] - weight_WH @ turned.mean, best_l2, best_loss)


@dataclass(frozen=True, slots=True)
class _Turned:
    """Standardised features on their principal axes."""

    mean: NDArray
    """(H,)."""
    scale: NDArray
    """(H,)."""
    axes: NDArray
    """(H, R)."""
    variance: NDArray
    """(R,)."""

    @classmethod
    def of(cls, features_NH: NDArray) -> _Turned:
        mean_H, scale_H = features_NH.mean(axis=0, dtype=np.float64), features_NH.std(axis=0, dtype=np.float64) + 1e-6
        x_NH = ((features_NH - mean_H.astype(np.float32)) / scale_H.astype(np.float32)).astype(np.float32, copy=False)
        variance_H, axes_HH = np.linalg.eigh((x_NH.T @ x_NH).astype(np.float64) / len(x_NH))
        kept = variance_H > _FLAT * variance_H.max(initial=0.0)
        return cls(mean_H, scale_H, axes_HH[:, kept], variance_H[kept])

    def __call__(self, features_NH: NDArray) -> NDArray:
        """Return (N, R) float32."""
        turn_HR = (self.axes / self.scale[:, None]).astype(np.float32)
        turned: NDArray = (features_NH - self.mean.astype(np.float32)).astype(np.float32, copy=False) @ turn_HR
        return turned


def _fitted(start_WR1: NDArray, x_NR: NDArray, target: NDArray, l2: float, link: Link, weight: NDArray | None, variance_R: NDArray) -> NDArray:
    unit_R1 = np.append(1 / np.sqrt(_curvature(start_WR1, x_NR, link) * variance_R + l2), 1.0)

    def function(flat: NDArray) -> tuple[float, NDArray]:
        # In single precision: the products are the time, and the seventh digit of a weight answers nothing.
        parameters_WR1 = (flat.reshape(start_WR1.shape) * unit_R1).astype(np.float32)
        loss, gradient_WR1 = loss_and_gradient(parameters_WR1, x_NR, target, l2, link, weight)
        return float(loss), (gradient_WR1 * unit_R1).ravel().astype(np.float64)

    found = minimize(function, (start_WR1 / unit_R1).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 200, "ftol": 1e-6, "gtol": 1e-5})
    result: NDArray = found.x.reshape(start_WR1.shape) * unit_R1
    return result


def _curvature(parameters_WR1: NDArray, x_NR: NDArray, link: Link) -> float:
    """Return how much the loss curves along an axis of variance 1, on average over rows and numbers."""
    if link == "identity":
        return 2 / len(parameters_WR1)
    likely_NW = probabilities(_logits(parameters_WR1, x_NR), link)
    return float((likely_NW * (1 - likely_NW)).mean()) / (len(parameters_WR1) if link == "sigmoid" else 1)


def _logits(parameters_WR1: NDArray, x_NR: NDArray) -> NDArray:
    logits_NW: NDArray = x_NR @ parameters_WR1[:, :-1].T.astype(np.float32) + parameters_WR1[:, -1].astype(np.float32)
    return logits_NW
