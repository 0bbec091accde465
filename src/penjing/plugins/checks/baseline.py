"""What can be had without a model: the score of the best constant answer, such as the majority class. It is learnt from training rows.

Shapes: n training rows, W width of the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from penjing.core.protocols import Subject, Task
from penjing.core.types import Batch, Link, Measurement, NDArray, Row

MEASURES = ("baseline_{score}",)
"""The name of the task's first score takes the place of {score}."""
ROWS = 2000
"""Training rows on which constant answers are compared, where there are several."""


def baseline(subject: Subject, training: Sequence[Row] = ()) -> list[Measurement]:
    """Return the task's first score, on `subject.rows`, of the answer that is best for all of `training` alike."""
    task, rows = subject.task, subject.rows
    answer = best_constant(task, training)
    (score, *_) = task.score(task.decode(_repeated(answer, len(rows)), rows), rows)
    method = f"best constant answer, from {len(training)} training rows; {score.method}"
    return [Measurement(f"baseline_{score.name}", score.value, score.unit, score.low, score.high, score.n, method, score.better)]


def best_constant(task: Task, training: Sequence[Row]) -> Batch:
    """Return (1, W) logits for each output of `task`: of the likely candidates the one that scores best on the training rows."""
    target = task.target_of(training) if training else None
    names = {name: _candidates(target, spec.width, spec.link) for name, spec in task.outputs.items()}
    answers: list[Batch] = [dict(zip(names, logits, strict=True)) for logits in product(*names.values())]
    if len(answers) == 1 or not training:
        return answers[0]
    sample = training[:: -(-len(training) // ROWS)]

    def score(answer: Batch) -> float:
        (first, *_) = task.score(task.decode(_repeated(answer, len(sample)), sample), sample)
        return first.value if first.better == "higher" else -first.value

    return max(answers, key=score)


def _candidates(target: NDArray | None, width: int, link: Link) -> list[NDArray]:
    """Return (1, W) logits: the shares of the classes, or the mean; for labels also the constant set with the best micro-F1.

    A label is worth naming from half of the best F1 on, not from a half (Lipton, Elkan and Naryanaswamy 2014, theorem 1).
    """
    if target is None:
        return [np.zeros((1, width))]
    if link == "identity":
        return [target.mean(axis=0, dtype=np.float64)[None]]
    if link == "softmax":
        shares_W = np.bincount(target, minlength=width) / len(target)
        return [np.log(np.maximum(shares_W, 1e-9))[None]]
    shares_W = target.mean(axis=0, dtype=np.float64)
    ranked_W = np.sort(shares_W)[::-1]
    best_f1 = (2 * np.cumsum(ranked_W) / np.maximum(np.arange(1, width + 1) + ranked_W.sum(), 1e-9)).max()
    return [_log_odds(shares_W), _log_odds(shares_W) - _log_odds(np.array([best_f1 / 2])) + 1e-9]


def _log_odds(shares_W: NDArray) -> NDArray:
    clipped_W = np.clip(shares_W, 1e-9, 1 - 1e-9)
    odds: NDArray = np.log(clipped_W / (1 - clipped_W))[None]
    return odds


def _repeated(answer: Batch, n: int) -> Batch:
    return {name: np.repeat(np.asarray(logits), n, axis=0).astype(np.float32) for name, logits in answer.items()}
