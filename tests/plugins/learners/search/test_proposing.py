"""Which settings a search proposes, through Optuna itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penjing.core.learning.inner import Inner
from penjing.plugins.learners.search.options import Range
from penjing.plugins.learners.search.proposing import Proposal, Trial

OF = Inner.parse({"learner": "boosted-trees", "learning_rate": 0.05})
SPACE: dict[str, Any] = {"learning_rate": Range(low=0.01, high=0.3, log=True), "leaves": Range(low=4, high=64), "monotone": [{}, {"a": "increasing"}]}


def searched(trials: int, seed: int, before: list[Trial] | None = None) -> list[Trial]:
    """Return the trials of a search whose loss is least at a learning rate of 0.1."""
    done = list(before or [])
    while len(done) < trials:
        values = Proposal(OF, SPACE, done, trials, 5, seed).values
        done.append(Trial(values, abs(float(np.log(values.get("learning_rate", 0.05) / 0.1))), {}))
    return done


def test_the_settings_given_are_tried_first() -> None:
    assert Proposal(OF, SPACE, [], 5, 5, 0).values == {}


def test_values_are_of_the_space_and_of_their_type() -> None:
    for trial in searched(12, 0)[1:]:
        assert 0.01 <= trial.values["learning_rate"] <= 0.3
        assert isinstance(trial.values["leaves"], int)
        assert trial.values["monotone"] in ({}, {"a": "increasing"})


def test_a_search_that_goes_on_proposes_what_an_undisturbed_one_does() -> None:
    assert searched(12, 3, searched(12, 3)[:7]) == searched(12, 3)


def test_another_seed_proposes_something_else() -> None:
    assert searched(3, 1)[1].values != searched(3, 2)[1].values


def test_later_proposals_are_nearer_to_what_was_good() -> None:
    losses = np.array([[t.loss for t in searched(30, seed)[1:]] for seed in range(5)], float)
    assert losses[:, 15:].mean() < 0.7 * losses[:, :8].mean()


def test_a_trial_is_behind_where_its_loss_is_over_the_median_of_the_others() -> None:
    before = [Trial({"learning_rate": 0.1, "leaves": 8, "monotone": {}}, loss, {1: loss + 1, 2: loss}) for loss in (0.1, 0.2, 0.3)]
    for loss, behind in ((1.5, True), (1.05, False)):
        proposal = Proposal(OF, SPACE, before, 10, 3, 0)
        proposal.told(1, loss)
        assert proposal.behind is behind
        proposal.told(1, 9.0)
        proposal.told(2, float("nan"))
        assert proposal.curve == {1: loss}, "an epoch is told once, and what is no number says nothing"


def test_no_trial_is_behind_before_enough_were_learnt_to_their_end() -> None:
    before = [Trial({"learning_rate": 0.1, "leaves": 8, "monotone": {}}, 0.1, {1: 0.1})] * 3
    proposal = Proposal(OF, SPACE, before, 10, 4, 0)
    proposal.told(1, 5.0)
    assert not proposal.behind


def test_settings_given_outside_the_space_do_not_stop_the_search() -> None:
    of = Inner.parse({"learner": "linear"})  # learning_rate: auto
    space = {"learning_rate": Range(low=0.1, high=1.0)}
    assert 0.1 <= Proposal(of, space, [Trial({}, 0.5, {})], 5, 5, 0).values["learning_rate"] <= 1


def test_optuna_is_as_loud_afterwards_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    searched(3, 0)
    assert optuna.logging.get_verbosity() == before
    assert capsys.readouterr() == ("", "")
