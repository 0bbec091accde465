"""What a search refuses before anything is spent, and how its space is read."""

from __future__ import annotations

from typing import Any

import pytest

from penjing.core import plugins
from penjing.core.config import check
from penjing.core.errors import ConfigError
from penjing.core.learning.inner import Inner
from penjing.core.learning.tiers import TierConfig
from penjing.plugins.learners.search.options import Options, Range, check_space, whole
from penjing.plugins.learners.search.spaces import SPACES


def options(**given: Any) -> Options:
    return check(Options, {"of": {"learner": "boosted-trees"}, **given}, "tier 'search'")


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"learning_rat": [0.1]}, "has no option 'learning_rat'. Did you mean 'learning_rate'?"),
        ({"learning_rate": [0.1, 3.0]}, "learning_rate is 3.0: input should be less than or equal to 1"),
        ({"learning_rate": {"low": 0.01, "high": 2.0}}, "learning_rate is 2.0"),
        ({"leaves": {"low": 1, "high": 20}}, "leaves is 1: input should be greater than or equal to 2"),
        ({"leaves": ["many"]}, "leaves is 'many'"),
        ({"leaves": []}, "space.leaves is an empty list"),
        ({"leaves": {"low": 20, "high": 7}}, "expected low below high, found 20 and 7"),
        ({"l2": {"low": 0, "high": 7, "log": True}}, "expected low above 0"),
        ({"leaves": {"low": 7, "hihg": 20}}, "Did you mean 'high'?"),
    ],
)
def test_a_space_that_the_learner_does_not_take_is_refused(space: Any, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        options(space=space)
    assert said in str(refused.value)


@pytest.mark.parametrize("learner", ["search", "ensemble"])
def test_a_search_of_what_is_made_of_learners_is_refused(learner: str) -> None:
    of = {"learner": learner, "of": {"learner": "linear"} if learner == "search" else [{"learner": "linear"}]}
    with pytest.raises(ConfigError, match="a learner of learners"):
        options(of=of)


def test_a_learner_without_a_usual_space_wants_one() -> None:
    with pytest.raises(ConfigError, match="what to vary of 'pixel-linear' is not known"):
        options(of={"learner": "pixel-linear"})
    assert options(of={"learner": "pixel-linear"}, space={"size": [32, 64]}).varied == {"size": [32, 64]}


@pytest.mark.parametrize("learner", sorted(SPACES))
def test_every_usual_space_is_one_that_its_learner_takes(learner: str) -> None:
    tuned = {"tune": "full"} if "tune" in plugins.options("learners", learner).model_fields else {}
    asked = options(of={"learner": learner, **tuned})
    assert asked.varied.keys() == SPACES[learner].keys()


def test_only_options_of_whole_numbers_are_drawn_whole() -> None:
    of = Inner.parse("boosted-trees")
    assert whole(of, "leaves", Range(low=7, high=8))
    assert not whole(of, "l2", Range(low=1, high=8))
    check_space(of, {"l2": Range(low=1, high=8)})


def test_a_search_is_a_tier_that_is_written_and_read_again() -> None:
    told = {"learner": "search", "of": {"learner": "linear", "epochs": 3}, "space": {"l2": {"low": 1e-6, "high": 1e-4, "log": True}}, "trials": 3}
    tier = TierConfig.parse(told)
    assert TierConfig.parse(tier.dump()).dump() == tier.dump()
    assert tier.dump()["of"]["epochs"] == 3
    assert tier.options.processor == "ngrams"
    assert tier.options.resolved() == tier.options.of.options.resolved()
