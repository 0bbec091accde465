"""Learns word vectors and a linear head together, batch by batch. Knows nothing of texts, files or where the vectors began.

logits = rows @ vectors @ head + bias: a bag of words through a narrow middle (Joulin et al. 2017, section 2), without its hashed bigrams.
AdaGrad (Duchi, Hazan and Singer 2011, JMLR 12:2121) with one step size a word, shared by its numbers, and one for each number of the head,
all falling to zero by the end. After each epoch the loss on held-out rows is looked at, and the epoch where it was least is kept.

Shapes: n rows, B rows of a batch, m held-out rows, V words, U different words in a batch, D dimensions, C numbers a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from penjing.core.types import Link, NDArray, Spec
from penjing.training.losses import residual_of, scaled

_TINY = 1e-8
"""Squared gradient that every number starts with; only keeps the first step from dividing by zero."""
_HEAD_RATE, _ALONE_RATE = 0.3, 1.0
"""Step size of the head, in rates of the vectors: beside vectors that are learnt, and over vectors that are not."""
_PATIENCE = 3
"""Epochs in a row without a better loss on held-out rows after which learning ends."""


@dataclass(frozen=True, slots=True)
class Model:
    vectors: NDArray
    """(V, D) float32."""
    head: NDArray
    """(D, C) float32."""
    bias: NDArray
    """(C,) float32."""

    def signal(self, rows: csr_array) -> NDArray:
        """Return (n, C): what the words say, beside the bias."""
        result: NDArray = rows @ (self.vectors @ self.head)
        return result

    def loss(self, data: Data) -> float:
        """Return the mean loss on held-out rows, once the scale is right: words that shout too loud are put right at the end."""
        return scaled(self.signal(data.held_out), self.bias, data.held_out_target, data.spec.link)[1]


@dataclass(frozen=True, slots=True)
class Settings:
    rate: float
    """Length of the first step of a vector."""
    epochs: int
    seed: int
    vectors: bool = True
    """Whether vectors are learnt too, or the head alone."""


@dataclass(frozen=True, slots=True)
class Data:
    rows: csr_array
    """(n, V) float32."""
    target: NDArray
    held_out: csr_array
    """(m, V) float32; m may be 0."""
    held_out_target: NDArray
    spec: Spec
    weight: NDArray | None = None
    """(n,) how much each row counts; None where all count alike."""


@dataclass(frozen=True, slots=True)
class _Squares:
    """Sums of squared gradients."""

    vectors: NDArray
    """(V,) float32."""
    head: NDArray
    """(D, C) float32."""


def descend(model: Model, data: Data, settings: Settings, advance: Callable[[float, str], None]) -> Model:
    """Return the best of what `model` is after each epoch, by the loss on held-out rows; without these, what it is at the end.

    advance: told of every epoch, with its loss. The bias stays: it is what a row without a known word is answered with.
    """
    now = Model(model.vectors.copy(), model.head.copy(), model.bias)
    squares = _Squares(np.full(len(model.vectors), _TINY, np.float32), np.full_like(model.head, _TINY))
    best, least, waited = model, np.inf, 0
    for epoch in range(settings.epochs):
        _epoch(now, squares, data, settings, epoch)
        if not len(data.held_out_target):
            best = now
            advance(1, "")
            continue
        loss = now.loss(data)
        if loss < least:
            best, least, waited = replace(now, vectors=now.vectors.copy(), head=now.head.copy()), loss, 0
        else:
            waited += 1
        advance(1, f"loss {loss:.3f}")
        if waited == _PATIENCE:
            advance(settings.epochs - epoch - 1, "")
            break
    return best


def _epoch(model: Model, squares: _Squares, data: Data, settings: Settings, epoch: int) -> None:
    batches = list(batches_of(data.rows.shape[0], settings.seed, epoch))
    for i, numbers in enumerate(batches):
        left = 1 - (epoch + i / len(batches)) / settings.epochs
        weight = None if data.weight is None else data.weight[numbers]
        _step(model, squares, data.rows[numbers], data.target[numbers], weight, data.spec.link, settings, left)


def batches_of(n: int, seed: int, epoch: int) -> Iterator[NDArray]:
    """Yield the numbers of n rows, shuffled by (seed, epoch), in batches of about half the square root of n."""
    order = np.random.default_rng([seed, epoch]).permutation(n)
    size = 1 << min(8, max(0, int(np.log2(max(n, 1)) / 2)))
    for start in range(0, n, size):
        yield order[start : start + size]


def _step(
    model: Model, squares: _Squares, rows: csr_array, target: NDArray, weight: NDArray | None, link: Link, settings: Settings, left: float
) -> None:
    """Move `model` and `squares`, in place, by one batch; `left` is the share (1 to 0) of the rate."""
    words, places = np.unique(rows.indices, return_inverse=True)
    local = csr_array((rows.data, places.astype(np.int32), rows.indptr), shape=(rows.shape[0], len(words)))
    own_UD = model.vectors[words]
    gradient_UD, gradient_DC = gradients(local, own_UD, model.head, model.bias, target, link, weight)
    if settings.vectors:
        own_U = squares.vectors[words] + np.einsum("ud,ud->u", gradient_UD, gradient_UD)
        squares.vectors[words] = own_U
        gradient_UD *= (np.float32(settings.rate * left) / np.sqrt(own_U))[:, None]
        model.vectors[words] = own_UD - gradient_UD
    squares.head[...] += gradient_DC * gradient_DC
    rate = settings.rate * left * (_HEAD_RATE if settings.vectors else _ALONE_RATE)
    model.head[...] -= np.float32(rate) * gradient_DC / np.sqrt(squares.head)


def gradients(
    rows_BU: csr_array, vectors_UD: NDArray, head_DC: NDArray, bias_C: NDArray, target: NDArray, link: Link, weight: NDArray | None = None
) -> tuple[NDArray, NDArray]:
    """Return the derivatives of the mean loss by vectors (U, D) and head (D, C)."""
    sum_BD = rows_BU @ vectors_UD
    residual_BC = residual_of(sum_BD @ head_DC + bias_C, target, link, weight)
    return rows_BU.T @ (residual_BC @ head_DC.T), sum_BD.T @ residual_BC
