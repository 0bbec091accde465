"""Reading LightGBM's text; that the whole is read right is tested at the learner, by the answers."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.core.errors import RunFailed
from penjing.plugins.learners.boosted_trees.texts import arrays_of

TREE = """tree
version=v4

Tree=0
num_leaves=4
num_cat=1
split_feature=2 0 1
threshold=0 0.10000000000000001 -2.5
decision_type=1 10 {kind}
left_child=1 -1 -3
right_child=2 -2 -4
leaf_value=1 2 3 4.0000000000000009
cat_boundaries=0 2
cat_threshold=5 4294967295
is_linear=0


end of trees
pandas_categorical:null
"""


def test_nodes_leaves_and_sets_are_read_from_left_to_right() -> None:
    arrays = arrays_of([TREE.format(kind=2), "", TREE.format(kind=8)], [1, 1, 1])
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "trees": [0, 1, 1, 2],
        "nodes": [0, 3, 6],
        "feature": [2, 0, 1] * 2,
        "threshold": [0, 0.1, -2.5, 1, 0.1, -2.5],
        "missing_left": [False, True, False] * 2,
        "first": [0, 0, 2] * 2,
        "middle": [2, 1, 3] * 2,
        "leaves": [0, 4, 8],
        "values": [1, 2, 3, np.nextafter(4, 5)] * 2,
        "sets": [0, 2, 4],
        "bits": [5, 4294967295] * 2,
    }


def test_trees_of_several_classes_are_told_apart() -> None:
    two = TREE.format(kind=2).replace(
        "end of trees", TREE.format(kind=2).split("\n\n")[1].replace("leaf_value=1", "leaf_value=9") + "\n\nend of trees"
    )
    arrays = arrays_of([two], [2])
    assert arrays["trees"].tolist() == [0, 1, 2]
    assert arrays["values"][[0, 4]].tolist() == [1, 9]


def test_trees_that_the_engine_does_not_have_are_refused() -> None:
    with pytest.raises(RunFailed, match="zero for missing"):
        arrays_of([TREE.format(kind=4)], [1])
    with pytest.raises(RunFailed, match="linear"):
        arrays_of([TREE.format(kind=2).replace("is_linear=0", "is_linear=1")], [1])
