"""Soups (Wortsman et al. 2022): the mean of the weights of several fine-tunings that began with the same. Knows no learner and no torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from penjing.core.learning.weights import mean
from penjing.core.statistics import mean_loss
from penjing.plugins.learners.ensemble.members import Task, said


def learnt(task: Task) -> Any:
    """Return one learner. Without validation rows a greedy soup takes all."""
    members: list[Any] = []
    for number, inner in enumerate(task.options.learnt):
        if task.spent(len(members)):
            break
        members.append(task.member(number, inner))
    pots = [member.weights() for member in members]
    if any(pot.keys() != pots[0].keys() for pot in pots):
        raise TypeError("The members of this soup are not the same model.")
    pot = members[0]
    if not (task.options.greedy and len(task.validation)):
        pot.set_weights(mean(pots))
        return pot
    alone = [_loss(task, member) for member in members]
    order = [int(i) for i in np.argsort(alone, kind="stable")]
    taken, least = order[:1], alone[order[0]]
    for i in order[1:]:
        pot.set_weights(mean([pots[j] for j in (*taken, i)]))
        loss = _loss(task, pot)
        if loss <= least:
            taken, least = [*taken, i], loss
    pot.set_weights(mean([pots[j] for j in taken]))
    task.fitting.progress.say(
        f"The soup is made of {len(taken)} of {len(members)} fine-tunings: its validation loss is {least:.4g}, "
        f"that of the best alone {min(alone):.4g}."
    )
    return pot


def _loss(task: Task, member: Any) -> float:
    return mean_loss(said(member, task.output, task.validation), np.asarray(task.validation.target), task.spec.link)
