"""Which ensembles are refused as soon as they are read."""

from __future__ import annotations

from typing import Any

import pytest

from penjing.core.config import check
from penjing.core.errors import ConfigError
from penjing.core.learning.tiers import TierConfig
from penjing.plugins.learners.ensemble.options import Options

TREES, LINEAR = {"learner": "boosted-trees"}, {"learner": "tabular-linear"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"of": []}, "at least 1 item"),
        ({"of": [TREES], "members": 1}, "greater than or equal to 2"),
        ({"of": [{"learner": "ensemble", "of": [TREES]}]}, "an ensemble of ensembles"),
        ({"of": [TREES], "how": "stacking"}, "stacking needs two learners or more"),
        ({"of": [TREES, LINEAR], "how": "soup"}, "made of one learner, and of names boosted-trees and tabular-linear"),
        ({"of": [{"learner": "search", "of": TREES}], "how": "soup"}, "not made of searches"),
        ({"of": [{"learner": "boosted-tree"}]}, "Did you mean 'boosted-trees'?"),
        ({"of": [{**TREES, "leafs": 3}]}, "Did you mean 'leaves'?"),
        ({"of": [{**TREES, "name": "x"}]}, "belongs to the tier"),
        ({"of": ["boosted-trees", 3]}, "or a mapping with the key 'learner', not 3"),
    ],
)
def test_what_cannot_be_an_ensemble_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check(Options, options, "tier 'ensemble'")
    assert said in str(refused.value)


def test_an_ensemble_is_a_tier_that_is_written_and_read_again() -> None:
    tier = TierConfig.parse({"learner": "ensemble", "how": "stacking", "of": [{**TREES, "leaves": 7}, "tabular-linear"]})
    assert TierConfig.parse(tier.dump()).dump() == tier.dump()
    assert tier.dump()["of"][0]["leaves"] == 7
    assert tier.options.processor == "columns"
    assert tier.options.resolved()["scale"] == "none"


def test_members_are_learnt_in_turn() -> None:
    several = Options(of=[TREES, LINEAR], members=3)
    assert [one.learner for one in several.learnt] == ["boosted-trees", "tabular-linear", "boosted-trees"]
    assert [one.learner for one in Options(of=[TREES, LINEAR], how="stacking").learnt] == ["boosted-trees", "tabular-linear"]
