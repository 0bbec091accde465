"""Bagging (Breiman 1996): each member learns from as many rows as there are, drawn with replacement. Knows no learner."""

from __future__ import annotations

from typing import Any

import numpy as np

from penjing.core.learning.inner import seed_of
from penjing.plugins.learners.ensemble.members import Task, reweighed


def learnt(task: Task) -> tuple[list[Any], dict[str, Any]]:
    """Return the members and their blend. A row is drawn as likely as it weighs, and counts as often as it was drawn."""
    n = len(task.examples)
    weight = task.examples.weights(np.arange(n)).astype(np.float64)
    members: list[Any] = []
    for number, inner in enumerate(task.options.learnt):
        if task.spent(len(members)):
            break
        drawn = np.random.default_rng([seed_of(task.fitting.seed, number), 1]).multinomial(n, weight / weight.sum())
        members.append(task.member(number, inner, reweighed(task.examples, drawn.astype(np.float64))))
    return members, {"how": "mean", "weights": [1.0] * len(members)}
