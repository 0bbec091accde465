"""Boosting: each member learns more of what those before got wrong. Knows no learner.

Of classes: by weights of the rows, SAMME (Zhu et al. 2009, algorithm 2). Where the paper counts votes, members here say how likely each class is, and
their mean by the same weights is brought to the scale that suits the validation rows: a few votes tell little of how sure an answer is. On a made-up
table, with trees of 4 to 16 leaves, it had 1 to 20 % less loss than votes at their best scale.

Of numbers: by what is left of the target, in whole steps (Friedman 2001, algorithm 2). AdaBoost.R2 (Drucker 1997) gained next to nothing there.

As many of the first members are kept as have the least validation loss.

Shapes: N training rows, V validation rows, M members, W width of the output.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from penjing.core import plugins
from penjing.core.examples import Examples
from penjing.core.statistics import mean_loss
from penjing.core.types import NDArray
from penjing.plugins.learners.ensemble.members import Task, reweighed, said, shares
from penjing.training.losses import scaled

_LEAST = 1e-6
"""Error that is believed of a member that makes none."""


def learnt(task: Task) -> tuple[list[Any], dict[str, Any]]:
    """Return the members and their blend."""
    return _numbers(task) if task.spec.link == "identity" else _classes(task)


def _classes(task: Task) -> tuple[list[Any], dict[str, Any]]:
    weight_N = task.examples.weights(np.arange(len(task.examples))).astype(np.float64)
    weight_N /= weight_N.sum()
    members: list[Any] = []
    votes: list[float] = []
    for number, inner in enumerate(task.options.learnt):
        if task.spent(len(members)):
            break
        member = task.member(number, inner, reweighed(task.examples, weight_N))
        wrong_N = _wrong(task, said(member, task.output, task.examples))
        error = float(weight_N @ wrong_N)
        if error >= 1 - 1 / task.spec.width and members:
            task.fitting.progress.say(f"Boosting ends with {len(members)} members: the next is no better than chance on the rows it weighs.")
            break
        members.append(member)
        votes.append(max(_vote(task, max(error, _LEAST)), _LEAST))
        if error < _LEAST:
            task.fitting.progress.say(f"Boosting ends with {len(members)} members: the last makes no mistake on the training rows.")
            break
        weight_N *= np.exp(_vote(task, error) * wrong_N)
        weight_N /= weight_N.sum()
    return _best(task, members, [_mean(task, members[:n], votes[:n]) for n in range(1, len(members) + 1)])


def _wrong(task: Task, said_NW: NDArray) -> NDArray:
    """Return (N,) in 0..1: the share of the classes that were not answered."""
    share_NW = shares(task, np.asarray(task.examples.target))
    wrong_N: NDArray = np.clip(1 - share_NW[np.arange(len(said_NW)), said_NW.argmax(axis=1)], 0, 1)
    return wrong_N


def _vote(task: Task, error: float) -> float:
    """Return how much a member of this error counts (step 2c)."""
    return math.log((1 - error) / error) + math.log(task.spec.width - 1)


def _mean(task: Task, members: list[Any], votes: list[float]) -> dict[str, Any]:
    """Return the blend of these members, at the scale that suits the validation rows."""
    blend = {"how": "mean", "weights": votes}
    if not len(task.validation):
        return blend
    logits_VW = _answers(task, members, blend).astype(np.float64)
    factor, _ = scaled(logits_VW, np.zeros(task.spec.width), np.asarray(task.validation.target), task.spec.link)
    return {**blend, "scale": factor}


def _numbers(task: Task) -> tuple[list[Any], dict[str, Any]]:
    left_NW, left_VW = (np.asarray(part.target, np.float64) for part in (task.examples, task.validation))
    members: list[Any] = []
    for number, inner in enumerate(task.options.learnt):
        if task.spent(len(members)):
            break
        examples, validation = _towards(task.examples, left_NW), _towards(task.validation, left_VW)
        members.append(replace(task, examples=examples, validation=validation).member(number, inner))
        left_NW = left_NW - said(members[-1], task.output, task.examples)
        if len(task.validation):
            left_VW = left_VW - said(members[-1], task.output, task.validation)
    return _best(task, members, [_sum(task, n) for n in range(1, len(members) + 1)])


def _towards(examples: Examples, target: NDArray) -> Examples:
    return Examples(examples.inputs, target.astype(np.float32), examples.weight)


def _sum(task: Task, members: int) -> dict[str, Any]:
    width = task.spec.width
    return {"how": "linear", "head": np.tile(np.eye(width), members).tolist(), "bias": [0.0] * width}


def _best(task: Task, members: list[Any], blends: list[dict[str, Any]]) -> tuple[list[Any], dict[str, Any]]:
    """Return as many of the first members as do best on the validation rows; all where there are none. blends: of the first, the first two, …"""
    if not len(task.validation):
        return members, blends[-1]
    target = np.asarray(task.validation.target)
    losses = [mean_loss(_answers(task, members[:n], blend), target, task.spec.link) for n, blend in enumerate(blends, 1)]
    least = int(np.argmin(losses))
    if least + 1 < len(members):
        task.fitting.progress.say(
            f"Boosting keeps {least + 1} of {len(members)} members: with all the validation loss is {losses[-1]:.4g}, with these {losses[least]:.4g}."
        )
    return members[: least + 1], blends[least]


def _answers(task: Task, members: list[Any], blend: dict[str, Any]) -> NDArray:
    """Return (V, W)."""
    return said(plugins.load("engines", "ensemble")(members, blend, task.output, task.spec), task.output, task.validation)
