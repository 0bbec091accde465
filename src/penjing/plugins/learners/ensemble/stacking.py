"""Stacking (Wolpert 1992): a linear head over what several learners say of rows that they did not learn from. Knows no learner.

The head's L2 is chosen by validation rows, which members may have chosen by as well.

Shapes: N training rows, M members, W width of the output.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penjing.core.types import NDArray
from penjing.plugins.learners.ensemble.members import Task, said, written
from penjing.training import heads


def learnt(task: Task) -> tuple[list[Any], dict[str, Any]]:
    """Return the members, learnt from all rows, and the head over them."""
    fold_N = folds(np.asarray(task.examples.target), task.options.folds, task.fitting.seed)
    of, n, width = task.options.of, len(task.examples), task.spec.width
    unseen = np.zeros((n, len(of) * width))
    for fold in range(int(fold_N.max()) + 1):
        out = np.flatnonzero(fold_N == fold)
        with (
            written(task.examples, np.flatnonzero(fold_N != fold), task.fitting.checkpoints / "others") as others,
            written(task.examples, out, task.fitting.checkpoints / "out") as held_out,
        ):
            for i, inner in enumerate(of):
                member = task.member(i, inner, others, f"fold-{fold}")
                unseen[out, i * width : (i + 1) * width] = said(member, task.output, held_out)
    members = [task.member(i, inner) for i, inner in enumerate(of)]
    validated = [said(member, task.output, task.validation) for member in members]
    head = heads.learn(
        unseen,
        np.asarray(task.examples.target),
        np.concatenate(validated, axis=1),
        np.asarray(task.validation.target),
        width,
        task.spec.link,
        None if task.examples.weight is None else np.asarray(task.examples.weight),
    )
    return members, {"how": "linear", "head": head.weight.tolist(), "bias": head.bias.tolist()}


def folds(target: NDArray, count: int, seed: int) -> NDArray:
    """Return (N,) the fold of each row, alike in size and in what is to be learnt; at most as many as there are rows."""
    key = target if target.ndim == 1 else target.argmax(axis=1) if target.shape[1] > 1 else target[:, 0]
    order = np.lexsort((np.random.default_rng(seed).permutation(len(target)), key))
    fold_N = np.empty(len(target), np.int64)
    fold_N[order] = np.arange(len(target)) % max(1, min(count, len(target)))
    return fold_N
