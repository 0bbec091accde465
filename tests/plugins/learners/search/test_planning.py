"""What a search says before anything is spent."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.machine import Machine
from penjing.core.types import Estimate, Spec

ROWS = [{"age": 20 + i % 9, "job": ("cook", "clerk")[i % 2]} for i in range(30)]
MACHINE = Machine("x", 2, 1 << 34, False)


def planned(rows: Any = ROWS, columns: Any = ("age", "job"), outputs: Any = None, **options: Any) -> Estimate:
    kind = plugins.load("learners", "search")
    found: Estimate = kind.plan(kind.Options(**options), rows, list(columns), outputs or {"logits": Spec(2, "softmax")}, MACHINE, 1000)
    return found


def test_it_costs_as_many_times_what_it_searches_as_there_are_trials() -> None:
    trees = plugins.load("learners", "boosted-trees")
    one = trees.plan(trees.Options(), ROWS, ["age", "job"], {"logits": Spec(2, "softmax")}, MACHINE, 1000)
    ten, twenty = (planned(of={"learner": "boosted-trees"}, trials=trials) for trials in (10, 20))
    assert ten.seconds == pytest.approx(10 * one.seconds)
    assert twenty.seconds == pytest.approx(2 * ten.seconds)
    assert ten.seconds_low < ten.seconds < ten.seconds_high
    assert ten.memory_bytes == one.memory_bytes


def test_what_the_learner_refuses_is_refused() -> None:
    with pytest.raises(PlanError, match="no numeric column 'wage'"):
        planned(of={"learner": "boosted-trees", "monotone": {"wage": "increasing"}})
    with pytest.raises(PlanError, match="one array"):
        planned(of={"learner": "boosted-trees"}, outputs={"a": Spec(2, "softmax"), "b": Spec(1, "identity")})


def test_an_option_that_changes_how_rows_are_read_is_refused() -> None:
    texts = [{"text": f"word{i} and {i}"} for i in range(20)]
    with pytest.raises(PlanError, match="cannot vary 'word_ngrams' of 'linear': it changes how rows are read"):
        planned(texts, ["text"], of={"learner": "linear"}, space={"word_ngrams": [1, 2]})
    planned(texts, ["text"], of={"learner": "linear"}, space={"l2": [1e-6, 1e-5]})


def test_fewer_trials_are_cheaper() -> None:
    kind = plugins.load("learners", "search")
    assert [one.trials for one in kind.cheaper(kind.Options(of="boosted-trees", trials=20))] == [10, 5, 2, 1]
    assert kind.cheaper(kind.Options(of="boosted-trees", trials=1)) == []


def test_planning_imports_no_optuna() -> None:
    code = "import sys; from penjing.core import plugins; plugins.load('learners', 'search'); assert not {'optuna', 'torch'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
