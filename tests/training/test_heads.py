"""The head over frozen features is the optimum it claims to be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

from penjing.core.statistics import probabilities
from penjing.core.types import Link, NDArray
from penjing.training import heads

RANDOM = np.random.default_rng(0)
X_NH = RANDOM.normal(size=(40, 5))
LINKS: list[Link] = ["softmax", "sigmoid", "identity"]


def target(link: Link, n: int = 40) -> NDArray:
    if link == "softmax":
        return RANDOM.integers(0, 3, n)
    return RANDOM.integers(0, 2, (n, 3)).astype(np.float32) if link == "sigmoid" else RANDOM.normal(size=(n, 3)).astype(np.float32)


@pytest.mark.parametrize("link", LINKS)
def test_the_gradient_is_the_slope_of_the_loss(link: Link) -> None:
    y = target(link)
    start = RANDOM.normal(size=(3, 6))

    def loss(flat: NDArray) -> float:
        return heads.loss_and_gradient(flat.reshape(3, 6), X_NH, y, 0.1, link)[0]

    def gradient(flat: NDArray) -> NDArray:
        return heads.loss_and_gradient(flat.reshape(3, 6), X_NH, y, 0.1, link)[1].ravel()

    assert check_grad(loss, gradient, start.ravel()) < 1e-5  # the error of a forward difference of step 1e-8


def test_the_gradient_for_shares_is_the_slope_of_the_loss() -> None:
    shares = RANDOM.dirichlet(np.ones(3), 40).astype(np.float32)
    start = RANDOM.normal(size=(3, 6))

    def loss(flat: NDArray) -> float:
        return heads.loss_and_gradient(flat.reshape(3, 6), X_NH, shares, 0.1, "softmax")[0]

    def gradient(flat: NDArray) -> NDArray:
        return heads.loss_and_gradient(flat.reshape(3, 6), X_NH, shares, 0.1, "softmax")[1].ravel()

    assert check_grad(loss, gradient, start.ravel()) < 1e-5


def test_whole_shares_are_learnt_as_the_classes_they_are() -> None:
    y, held_out = target("softmax"), target("softmax", 5)
    of_classes = heads.learn(X_NH, y, X_NH[:5], held_out, 3, "softmax")
    of_shares = heads.learn(X_NH, np.eye(3, dtype=np.float32)[y], X_NH[:5], np.eye(3, dtype=np.float32)[held_out], 3, "softmax")
    assert np.allclose(of_shares.weight, of_classes.weight, atol=1e-9)
    assert of_shares.l2 == of_classes.l2


def test_a_pupil_of_shares_is_unsure_where_its_teacher_is() -> None:
    shares = np.full((40, 3), (0.5, 0.3, 0.2), np.float32)
    head = heads.learn(X_NH, shares, X_NH, shares, 3, "softmax")
    assert np.allclose(probabilities(head.logits(X_NH), "softmax"), shares, atol=1e-3)  # L-BFGS stops at a gradient of 1e-5


def test_what_is_taught_is_half_the_answer_and_half_the_truth() -> None:
    zeros = np.zeros((2, 2))
    assert heads.taught(zeros, np.array([0, 1]), "softmax").tolist() == [[0.75, 0.25], [0.25, 0.75]]
    assert heads.taught(zeros, np.array([[1, 0], [0.5, 0.5]]), "softmax").tolist() == [[0.75, 0.25], [0.5, 0.5]]
    assert heads.taught(zeros, np.array([[1, 0], [1, 1]]), "sigmoid").tolist() == [[0.75, 0.25], [0.75, 0.75]]
    assert heads.taught(zeros + 3, np.ones((2, 2)), "identity").tolist() == [[3, 3], [3, 3]]


def test_for_squared_error_it_is_ridge_regression() -> None:
    """Closed form on standardised features: (2/(NW) X'X + l2 I)^-1 2/(NW) X'y, the untried L2 where there is nothing to choose by."""
    y = target("identity")
    none = np.zeros((0, 5)), np.zeros((0, 3), np.float32)
    head = heads.learn(X_NH, y, *none, 3, "identity")
    z = (X_NH - X_NH.mean(0)) / (X_NH.std(0) + 1e-6)
    scale = 2 / y.size
    weight = np.linalg.solve(scale * z.T @ z + head.l2 * np.eye(5), scale * z.T @ (y - y.mean(0)))
    assert np.allclose(head.logits(X_NH), z @ weight + y.mean(0), atol=1e-3)  # L-BFGS stops at a gradient of 1e-5
    assert np.isnan(head.loss)


@pytest.mark.parametrize("link", LINKS)
def test_noise_is_answered_with_strong_regularisation_and_signal_with_weak(link: Link) -> None:
    noise = target(link)
    x2 = RANDOM.normal(size=(40, 5))
    strong = heads.learn(X_NH, noise, x2, target(link), 3, link)
    weight = RANDOM.normal(size=(5, 3)) * 3
    signal = {
        "softmax": lambda x: (x @ weight).argmax(1),
        "sigmoid": lambda x: (x @ weight > 0).astype(np.float32),
        "identity": lambda x: x @ weight,
    }[link]
    weak = heads.learn(X_NH, signal(X_NH), x2, signal(x2), 3, link)
    assert weak.l2 < strong.l2
    assert weak.loss < strong.loss


def test_a_constant_feature_does_no_harm() -> None:
    x = np.concatenate([X_NH, np.full((40, 1), 7.0)], axis=1)
    assert np.isfinite(heads.learn(x, target("softmax"), x[:5], target("softmax", 5), 3, "softmax").weight).all()
