"""Every option of the boosted-trees tier does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Batch, NDArray, Row, Spec
from penjing.plugins.learners.boosted_trees.learner import BoostedTrees

TWO = {"logits": Spec(2, "softmax")}
NAMES = {"numbers": ["age", "hours"], "codes": ["town"]}


def made(count: int, seed: int) -> Examples:
    """Return rows whose class follows both numbers, the first up and down again, and the town."""
    random = np.random.default_rng(seed)
    batch: Batch = {"numbers": random.normal(size=(count, 2)).astype(np.float32), "codes": random.integers(2, 8, (count, 1)).astype(np.int32)}
    age, hours = np.asarray(batch["numbers"]).T
    said = 3 * np.sin(2 * age) + hours + np.asarray(batch["codes"])[:, 0] % 2 + random.logistic(size=count)
    return Examples(batch, (said > 0.5).astype(np.int64))


TRAIN, JUDGES = made(1200, 0), made(600, 1)


def learnt(outputs: Any = TWO, target: NDArray | None = None, names: Any = NAMES, **options: Any) -> BoostedTrees:
    learner = BoostedTrees.create(BoostedTrees.Options(**{"trees": 20, "learning_rate": 0.2, **options}), outputs)
    train, judges = (Examples(e.inputs, e.target if target is None else e.target[:, None].astype(np.float32)) for e in (TRAIN, JUDGES))
    learner.fit(train, judges, Fitting(0, Silent(), Path(), Path(), names))
    return learner


def said(learner: BoostedTrees) -> list[dict[str, list[float]]]:
    """Return what LightGBM's text says of each tree."""
    trees = [re.findall(r"^(\w+)=(.*)$", tree, re.M) for text in learner.engine.ensembles for tree in text.split("\nTree=")[1:]]
    wanted = ("num_leaves", "leaf_value", "leaf_count", "split_feature", "internal_count")
    return [{name: [float(v) for v in values.split()] for name, values in tree if name in wanted} for tree in trees]


def most(learner: BoostedTrees, name: str) -> float:
    return max(max(map(abs, tree[name])) for tree in said(learner))


@pytest.mark.changes("learners.boosted-trees.trees")
def test_trees_are_the_most_rounds() -> None:
    assert [len(said(learnt(trees=trees))) for trees in (1, 7)] == [1, 7]


@pytest.mark.changes("learners.boosted-trees.patience")
def test_patience_is_how_long_a_better_round_is_waited_for() -> None:
    class Noted(Silent):
        tried: list[float]

        def advance(self, done: float, note: str = "") -> None:
            self.tried.append(done)

    def grown(patience: int) -> tuple[int, int]:
        noted = Noted()
        noted.tried = []
        learner = BoostedTrees.create(BoostedTrees.Options(trees=300, learning_rate=0.8, patience=patience), TWO)
        learner.fit(TRAIN, JUDGES, Fitting(0, noted, Path(), Path()))
        return len(said(learner)), len(noted.tried) - 1

    for patience in (1, 30):
        kept, tried = grown(patience)
        assert tried == kept + patience < 300


@pytest.mark.changes("learners.boosted-trees.learning_rate")
def test_a_lower_learning_rate_believes_less_of_a_tree() -> None:
    assert most(learnt(trees=1, learning_rate=0.02), "leaf_value") == pytest.approx(most(learnt(trees=1), "leaf_value") / 10)


@pytest.mark.changes("learners.boosted-trees.leaves")
def test_leaves_are_the_most_of_a_tree() -> None:
    assert [most(learnt(leaves=leaves), "num_leaves") for leaves in (2, 9)] == [2, 9]


@pytest.mark.changes("learners.boosted-trees.min_rows_in_leaf")
def test_no_leaf_holds_fewer_rows_than_asked() -> None:
    """Of a number: of classes LightGBM counts the rows of a leaf by the curvature of the loss, about."""
    kind: dict[str, Any] = {"outputs": {"logits": Spec(1, "identity")}, "target": TRAIN.target}
    few, many = (min(min(tree["leaf_count"]) for tree in said(learnt(min_rows_in_leaf=rows, **kind))) for rows in (3, 200))
    assert 3 <= few < 200 <= many


@pytest.mark.changes("learners.boosted-trees.l2")
def test_l2_holds_leaves_back() -> None:
    assert most(learnt(l2=100), "leaf_value") < 0.6 * most(learnt(), "leaf_value")


@pytest.mark.changes("learners.boosted-trees.feature_share")
def test_a_tree_may_ask_a_share_of_the_columns() -> None:
    """Two of three."""
    assert max(len(set(tree["split_feature"])) for tree in said(learnt())) == 3
    asked = [set(tree["split_feature"]) for tree in said(learnt(feature_share=0.7))]
    assert max(map(len, asked)) == 2
    assert len(set.union(*asked)) == 3


@pytest.mark.changes("learners.boosted-trees.row_share")
def test_a_tree_learns_from_a_share_of_the_rows() -> None:
    assert {tree["internal_count"][0] for tree in said(learnt())} == {1200}
    some = [tree["internal_count"][0] for tree in said(learnt(row_share=0.5))]
    assert np.mean(some) == pytest.approx(600, abs=40)


def rises(learner: BoostedTrees) -> NDArray:
    """Return how the answer changes along `age`, for some of the other columns."""
    steps = np.linspace(-3, 3, 40, dtype=np.float32)
    answers = []
    for hours, town in ((-1.0, 2), (0.0, 3), (2.0, 7)):
        batch: Batch = {"numbers": np.stack([steps, np.full(40, hours, np.float32)], axis=1), "codes": np.full((40, 1), town, np.int32)}
        answers.append(np.diff(np.asarray(learner.run(batch)["logits"])[:, -1]))
    return np.stack(answers)


@pytest.mark.changes("learners.boosted-trees.monotone")
@pytest.mark.parametrize("number", [False, True])
def test_an_answer_only_rises_or_falls_along_a_monotone_column(number: bool) -> None:
    kind: dict[str, Any] = {"outputs": {"logits": Spec(1, "identity")}, "target": TRAIN.target} if number else {}
    free, up, down = (rises(learnt(monotone=monotone, **kind)) for monotone in ({}, {"age": "increasing"}, {"age": "decreasing"}))
    assert (free > 0).any()
    assert (free < 0).any()
    assert up.min() >= 0 < up.max()
    assert down.max() <= 0 > down.min()


@pytest.mark.parametrize(
    ("monotone", "width", "told"),
    [
        ("agee", 2, "Did you mean 'age'"),
        ("town", 2, "holds categories"),
        ("age", 3, "two classes or one number"),
        ("nothing", 2, "There is: age, hours"),
    ],
)
def test_what_cannot_be_monotone_is_refused_before_anything_is_spent(monotone: str, width: int, told: str) -> None:
    rows: list[Row] = [{"age": str(i % 60 + i / 7), "hours": str(i), "town": "abcd"[i % 4]} for i in range(200)]
    options, outputs = BoostedTrees.Options(monotone={monotone: "increasing"}), {"logits": Spec(width, "softmax")}
    with pytest.raises(PlanError, match=told):
        BoostedTrees.plan(options, rows, ["age", "hours", "town"], outputs, Machine.here(), 200)
    with pytest.raises(PlanError, match=told):
        learnt(outputs=outputs, monotone={monotone: "increasing"})


@pytest.mark.changes("learners.boosted-trees.search")
def test_a_search_keeps_the_settings_that_do_best_on_held_out_rows() -> None:
    class Said(Silent):
        heard: list[str]

        def say(self, sentence: str) -> None:
            self.heard.append(sentence)

    progress = Said()
    progress.heard = []
    poor = {"trees": 30, "leaves": 2, "learning_rate": 0.01}
    learner = BoostedTrees.create(BoostedTrees.Options(**poor, search=4), TWO)
    learner.fit(TRAIN, JUDGES, Fitting(0, progress, Path(), Path()))
    losses = [float(loss) for loss in re.findall(r"\(loss ([\d.]+), with those given ([\d.]+)\)", progress.heard[0])[0]]
    assert losses[0] < losses[1]
    assert "Of 5 settings" in progress.heard[0]
    assert most(learner, "num_leaves") > most(learnt(**poor), "num_leaves")


ROWS: list[Row] = [
    {"town": f"town {i % 50}", "note": f"the {i}th note is about {'rain' if i % 3 else 'sun'} and some other words"} for i in range(400)
]


def encoded(**options: Any) -> Batch:
    kind = plugins.load("processors", BoostedTrees.processor)
    batch: Batch = kind(**kind.options_from(ROWS, ["town", "note"], BoostedTrees.Options(**options).resolved())).encode(ROWS)
    return batch


@pytest.mark.changes("learners.boosted-trees.max_categories")
def test_categories_beyond_the_most_count_as_one() -> None:
    assert [len(np.unique(encoded(max_categories=categories)["codes"])) for categories in (10, 1000)] == [11, 50]


@pytest.mark.changes("learners.boosted-trees.text_features")
def test_a_text_becomes_so_many_columns() -> None:
    few, many = (np.asarray(encoded(text_features=features)["numbers"]).shape[1] for features in (8, 32))
    assert many - few == 24


def test_numbers_are_not_scaled_and_missing_ones_stay_so() -> None:
    rows: list[Row] = [{"age": "" if i == 3 else str(i)} for i in range(100)]
    kind = plugins.load("processors", BoostedTrees.processor)
    numbers = np.asarray(kind(**kind.options_from(rows, ["age"], BoostedTrees.Options().resolved())).encode(rows[:5])["numbers"])
    assert np.array_equal(numbers, [[0], [1], [2], [np.nan], [4]], equal_nan=True)


def test_a_plan_grows_with_rows_columns_classes_and_tries() -> None:
    def seconds(count: int = 100_000, columns: int = 2, width: int = 2, **options: Any) -> float:
        names = [f"c{i}" for i in range(columns)]
        rows: list[Row] = [{name: str(i + 0.5) for name in names} for i in range(50)]
        return BoostedTrees.plan(BoostedTrees.Options(**options), rows, names, {"logits": Spec(width, "softmax")}, Machine.here(), count).seconds

    usual = seconds()
    assert min(seconds(count=1_000_000), seconds(columns=20), seconds(width=5), seconds(search=3)) > usual > seconds(trees=10)


def test_a_million_rows_are_planned_within_a_gigabyte() -> None:
    names = [f"c{i}" for i in range(14)]
    rows: list[Row] = [{name: str(i + 0.5) for name in names} for i in range(50)]
    assert BoostedTrees.plan(BoostedTrees.Options(), rows, names, TWO, Machine.here(), 1_000_000).memory_bytes < 1 << 30
