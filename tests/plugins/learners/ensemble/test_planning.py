"""What an ensemble says before anything is spent."""

from __future__ import annotations

from typing import Any

import pytest

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.machine import Machine
from penjing.core.types import Estimate, Spec

ROWS = [{"age": 20 + i % 9, "job": ("cook", "clerk")[i % 2]} for i in range(30)]
MACHINE = Machine("x", 2, 1 << 34, False)
TREES, LINEAR, TWO = {"learner": "boosted-trees"}, {"learner": "tabular-linear"}, {"logits": Spec(2, "softmax")}


def planned(*of: dict[str, Any], rows: Any = ROWS, columns: Any = ("age", "job"), outputs: Any = TWO, **options: Any) -> Estimate:
    kind = plugins.load("learners", "ensemble")
    found: Estimate = kind.plan(kind.Options(of=list(of), **options), rows, list(columns), outputs, MACHINE, 1000)
    return found


def alone(learner: str) -> Estimate:
    kind = plugins.load("learners", learner)
    found: Estimate = kind.plan(kind.Options(), ROWS, ["age", "job"], TWO, MACHINE, 1000)
    return found


def test_it_costs_what_its_members_cost() -> None:
    trees, linear = alone("boosted-trees").seconds, alone("tabular-linear").seconds
    assert planned(TREES, members=4).seconds == pytest.approx(4 * trees, rel=0.01)
    assert planned(TREES, LINEAR, members=3).seconds == pytest.approx(2 * trees + linear, rel=0.01)
    stacked = planned(TREES, LINEAR, how="stacking", folds=7)
    assert stacked.seconds == pytest.approx(7 * (trees + linear), rel=0.01)
    assert stacked.seconds_low < stacked.seconds < stacked.seconds_high


def test_members_that_read_rows_in_different_ways_are_refused_by_what_differs() -> None:
    with pytest.raises(PlanError, match=r"member 2, 'tabular-network', has its rows read in another way .* scale of columns would differ"):
        planned(TREES, {"learner": "tabular-network"})
    with pytest.raises(PlanError, match="member 2, 'linear', reads ngrams and the first, 'boosted-trees', reads columns"):
        planned(TREES, {"learner": "linear"})
    with pytest.raises(PlanError, match="word_ngrams of ngrams would differ"):
        planned({"learner": "linear"}, {"learner": "linear", "word_ngrams": 1}, rows=[{"text": "a b"}], columns=["text"])


def test_a_soup_wants_weights_that_begin_alike() -> None:
    with pytest.raises(PlanError, match="'boosted-trees' has none that could be averaged"):
        planned(TREES, how="soup")


def test_a_soup_of_frozen_models_is_refused() -> None:
    with pytest.raises(PlanError, match="always the same"):
        planned({"learner": "transformer"}, how="soup", rows=[{"text": "a b"}], columns=["text"])


def test_boosting_refuses_several_labels() -> None:
    with pytest.raises(PlanError, match="Choose bagging or stacking"):
        planned(TREES, how="boosting", outputs={"logits": Spec(3, "sigmoid")})


def test_fewer_members_or_folds_are_cheaper() -> None:
    kind = plugins.load("learners", "ensemble")
    assert [one.members for one in kind.cheaper(kind.Options(of=[TREES], members=10))] == [5, 3, 2]
    assert [one.folds for one in kind.cheaper(kind.Options(of=[TREES, LINEAR], how="stacking", folds=4))] == [3, 2]
    assert kind.cheaper(kind.Options(of=[TREES], members=2)) == []


def test_what_a_member_refuses_is_refused() -> None:
    with pytest.raises(PlanError, match="no numeric column 'wage'"):
        planned({**TREES, "monotone": {"wage": "increasing"}})
    with pytest.raises(PlanError, match="one array"):
        planned(TREES, outputs={"a": Spec(2, "softmax"), "b": Spec(1, "identity")})
