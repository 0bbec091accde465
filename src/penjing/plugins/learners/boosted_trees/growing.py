"""Grows one ensemble of trees with LightGBM, round by round, and stops by held-out rows. Knows nothing of texts, files or how settings are chosen.

The same rows, settings and seed give the same trees on one machine: LightGBM is asked for deterministic histograms by rows.

Shapes: n rows, N numbers, K codes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import lightgbm as lgb
import numpy as np

from penjing.core.machine import Machine
from penjing.core.types import Batch, NDArray
from penjing.plugins.learners.boosted_trees.goals import Goal
from penjing.plugins.learners.boosted_trees.options import Options

_QUIET = {"verbosity": -1, "deterministic": True, "force_row_wise": True, "feature_pre_filter": False}
_ALONE = 1_000_000
"""Values up to which one thread learns. Several wait for each other at every split: on a busy machine a round took them 10 to 100 times as long, and
of a round of some milliseconds they save little on an idle one."""


@dataclass(frozen=True, slots=True)
class Grown:
    text: str
    """LightGBM's own text of the ensemble; empty where it has no trees."""
    rounds: int
    loss: float
    """Mean loss on the held-out rows, 0 where there are none."""
    rising: bool
    """Whether the last round allowed was the best: more of them might have been better."""


class Rows:
    """Rows with goals, cut into LightGBM's bins once for all of them."""

    def __init__(self, inputs: Batch, goals: Sequence[Goal], bins_of: Rows | None = None) -> None:
        """bins_of: training rows whose bins are shared, for rows that only judge."""
        self.goals = goals
        values = table(inputs, goals[0].rows)
        codes = np.asarray(inputs["codes"]).shape[1]
        self.columns = (values.shape[1] - codes, codes)
        """How many numbers, and how many codes."""
        self.data: lgb.Dataset = lgb.Dataset(
            values,
            label=goals[0].label,
            reference=bins_of.data if bins_of else None,
            categorical_feature="auto" if bins_of else list(range(self.columns[0], sum(self.columns))),
            params={**_QUIET, "num_threads": threads(*values.shape)},
        )
        if any(self.columns):
            self.data.construct()

    def towards(self, which: int, start: NDArray) -> lgb.Dataset:
        """Return the rows with the label and the weight of one goal, each beginning at the logits `start` (classes,)."""
        goal = self.goals[which]
        self.data.set_label(goal.label)
        self.data.set_weight(np.ones(len(goal.label), np.float32) if goal.weight is None else goal.weight)
        self.data.set_init_score(np.repeat(start, len(goal.label)))
        return self.data


def table(inputs: Batch, rows: NDArray | None = None) -> NDArray:
    """Return (n, N + K) float32: numbers, then codes."""
    numbers_nN, codes_nK = np.asarray(inputs["numbers"]), np.asarray(inputs["codes"])
    chosen = slice(None) if rows is None else rows
    values = np.empty((len(numbers_nN) if rows is None else len(rows), numbers_nN.shape[1] + codes_nK.shape[1]), np.float32)
    values[:, : numbers_nN.shape[1]] = numbers_nN[chosen]
    values[:, numbers_nN.shape[1] :] = codes_nK[chosen]
    return values


def threads(rows: int, columns: int) -> int:
    """Return how many cores are worth waiting for."""
    return Machine.here().cores if rows * columns > _ALONE else 1


def grow(
    rows: Rows, held_out: Rows | None, which: int, options: Options, monotone: Sequence[int], seed: int, advance: Callable[[float], None]
) -> Grown:
    """Return the ensemble of goal `which`, cut off after its best round by `held_out`, or with all `options.trees` rounds where there is none.

    monotone: for each column 1 to rise, -1 to fall, 0 for neither; empty for none at all. advance hears of `options.trees` rounds in all.
    """
    start = rows.goals[which].start
    best = Grown("", 0, held_out.goals[which].mean_loss(start) if held_out else 0.0, False)
    done = 0
    if any(rows.columns):
        settings = _settings(rows.goals[which], options, monotone, seed, sum(rows.columns))
        booster = lgb.Booster(settings, rows.towards(which, start))
        if held_out:
            booster.add_valid(held_out.towards(which, start), "held out")
        drawn, kept = options.row_share < 1 or options.feature_share < 1, 0
        while done < options.trees and done - kept < options.patience:
            ended = booster.update()
            done += 1
            advance(1)
            if ended and not drawn:
                break  # no split is left that helps; with rows or columns drawn anew, the next round may find one
            loss = float(booster.eval_valid()[0][2]) if held_out else 0.0
            if not held_out or loss < best.loss:
                best, kept = Grown("", booster.current_iteration(), loss, held_out is not None and done == options.trees), done
        if best.rounds:
            best = replace(best, text=booster.model_to_string(num_iteration=best.rounds))
    advance(options.trees - done)
    return best


def _settings(goal: Goal, options: Options, monotone: Sequence[int], seed: int, columns: int) -> dict[str, object]:
    settings: dict[str, object] = {
        **_QUIET,
        "objective": goal.loss,
        "metric": goal.loss,
        "boost_from_average": False,
        "num_threads": threads(len(goal.label), columns),
        "seed": seed,
        "learning_rate": options.learning_rate,
        "num_leaves": options.leaves,
        "min_data_in_leaf": options.min_rows_in_leaf,
        "lambda_l2": options.l2,
        "feature_fraction": options.feature_share,
        "bagging_fraction": options.row_share,
        "bagging_freq": int(options.row_share < 1),
    }
    if goal.classes > 1:
        settings["num_class"] = goal.classes
    if any(monotone):
        settings["monotone_constraints"] = list(monotone)
    return settings
