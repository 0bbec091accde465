"""The ensemble tier on encoded columns, through real learners and the real engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kills import Killed, Killer
from penjing.core import plugins
from penjing.core.allowance import Allowance
from penjing.core.errors import PlanError, RunFailed
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, HasLayers, Silent
from penjing.core.statistics import mean_loss, probabilities
from penjing.core.types import NDArray, Spec
from penjing.core.workers import Alone
from penjing.plugins.learners.ensemble.learner import Ensemble
from penjing.plugins.learners.ensemble.stacking import folds

TREES = {"learner": "boosted-trees", "trees": 15, "patience": 15, "learning_rate": 0.2, "leaves": 8}
LINEAR = {"learner": "tabular-linear", "crosses": 0, "iterations": 30, "l2": 1.0, "bins": 16}
WAYS: dict[str, list[dict[str, Any]]] = {"bagging": [TREES], "boosting": [TREES], "stacking": [TREES, LINEAR]}
Learnt = Callable[..., Ensemble]
Made = Callable[..., Examples]


def logits(learner: Any, rows: Examples) -> NDArray:
    return np.asarray(learner.run(rows.inputs)["logits"])


def loss(learner: Any, rows: Examples) -> float:
    return mean_loss(logits(learner, rows), np.asarray(rows.target), learner.spec.link)


@pytest.mark.changes("learners.ensemble.how")
def test_each_way_learns_its_members_differently(ensemble: Learnt, made: Made) -> None:
    found = {how: ensemble(TREES, LINEAR, how=how, members=2) for how in WAYS}
    assert {how: one.blend and one.blend["how"] for how, one in found.items()} == {"bagging": "mean", "boosting": "mean", "stacking": "linear"}
    answers = [logits(one, made(40)) for one in found.values()]
    assert not any(np.array_equal(answers[i], answers[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert all(loss(one, made(200, 3)) < np.log(2) for one in found.values())


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(("link", "width"), [("softmax", 2), ("softmax", 3), ("identity", 1), ("sigmoid", 3)])
def test_what_is_saved_and_exported_answers_the_same(ensemble: Learnt, made: Made, tmp_path: Path, how: str, link: str, width: int) -> None:
    if (how, link) == ("boosting", "sigmoid"):
        with pytest.raises(PlanError, match="Choose bagging or stacking"):
            ensemble(*WAYS[how], how=how, link=link, width=width)
        return
    found, rows = ensemble(*WAYS[how], how=how, link=link, width=width, members=2, folds=2), made(60, 5, link, width)
    (tmp_path / "learnt").mkdir()
    (tmp_path / "engine").mkdir()
    found.save(tmp_path / "learnt")
    again = Ensemble.open(tmp_path / "learnt")
    assert again.export(tmp_path / "engine") == "ensemble"
    engine = plugins.load("engines", "ensemble").open(tmp_path / "engine")
    for answering in (again, engine):
        assert np.array_equal(logits(answering, rows), logits(found, rows))
    assert logits(found, rows).shape == (60, width)
    assert engine.work(rows.inputs) > 0
    assert isinstance(found, HasLayers)
    assert [name for name, _ in found.layers(rows.inputs)] == [name for name, _ in engine.layers(rows.inputs)]
    assert found.exits == {}


@pytest.mark.changes("learners.ensemble.of")
def test_members_are_of_the_learners_that_were_named(ensemble: Learnt) -> None:
    assert [inner.learner for inner, _ in ensemble(TREES, LINEAR, members=3).members] == ["boosted-trees", "tabular-linear", "boosted-trees"]
    assert [inner.learner for inner, _ in ensemble(TREES, members=2).members] == ["boosted-trees"] * 2


@pytest.mark.changes("learners.ensemble.members")
def test_a_bag_holds_as_many_members_as_were_asked_for_each_of_rows_of_its_own(ensemble: Learnt, made: Made) -> None:
    two, four = (ensemble(TREES, members=members) for members in (2, 4))
    assert (len(two.members), len(four.members)) == (2, 4)
    answers = [logits(member, made(40)) for _, member in four.members]
    assert not any(np.array_equal(answers[i], answers[j]) for i in range(4) for j in range(i))
    shares = np.mean([probabilities(one, "softmax") for one in answers], axis=0)
    np.testing.assert_allclose(probabilities(logits(four, made(40)), "softmax"), shares, atol=1e-6)


def test_a_member_of_a_bag_counts_each_row_as_often_as_it_was_drawn(ensemble: Learnt, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    linear, drawn = plugins.load("learners", "tabular-linear"), list[NDArray]()
    fit = linear.fit
    monkeypatch.setattr(linear, "fit", lambda self, examples, *rest: (drawn.append(examples.weights(np.arange(300))), fit(self, examples, *rest))[1])
    ensemble(LINEAR, members=2)
    for counts in drawn:
        assert counts.sum() == pytest.approx(300)
        np.testing.assert_allclose(counts, np.round(counts), atol=1e-5)
        assert 0.3 < (counts == 0).mean() < 0.45, "a row is in no bag with the chance 1 / e"
    assert not np.array_equal(*drawn)


def test_a_bag_of_trees_is_better_than_one_of_its_members(ensemble: Learnt, made: Made) -> None:
    found = ensemble({**TREES, "trees": 60, "leaves": 31, "min_rows_in_leaf": 2}, members=8)
    alone = [mean_loss(logits(member, made(500, 3)), made(500, 3).target, "softmax") for _, member in found.members]
    assert loss(found, made(500, 3)) < min(alone)


@pytest.mark.parametrize("how", WAYS)
def test_rows_that_weigh_more_are_learnt_more(ensemble: Learnt, made: Made, how: str, nothing: Callable[..., Examples]) -> None:
    plain = made(300, 1)
    target = np.random.default_rng(0).permutation(plain.target)
    means = []
    for favoured in (0, 1):
        weight = np.where(target == favoured, 1.9, 0.1).astype(np.float32)
        train = Examples(plain.inputs, target, weight)
        found = logits(ensemble(*WAYS[how], train=train, validation=nothing(), how=how, members=2, folds=2), plain)
        means.append(float((found[:, 1] - found[:, 0]).mean()))
    assert means[1] > means[0] + 1


def test_a_row_that_weighs_nothing_is_in_no_bag(ensemble: Learnt, made: Made, nothing: Callable[..., Examples]) -> None:
    plain = made(300, 1)
    kept = np.arange(300) % 2 == 0
    wrong = np.where(kept, plain.target, 1 - np.asarray(plain.target))
    spoilt, clean = Examples(plain.inputs, wrong, kept * np.float32(2)), Examples(plain.inputs, plain.target, kept * np.float32(2))
    answers = [logits(ensemble(LINEAR, train=train, validation=nothing(), members=2), plain) for train in (spoilt, clean)]
    np.testing.assert_allclose(*answers, atol=1e-5)


@pytest.mark.parametrize("how", WAYS)
def test_without_validation_rows_and_from_shares_of_classes_it_learns_too(
    ensemble: Learnt, made: Made, how: str, nothing: Callable[..., Examples]
) -> None:
    plain = made(300, 1)
    shares = np.eye(2, dtype=np.float32)[plain.target] * 0.8 + 0.1
    found = ensemble(*WAYS[how], train=Examples(plain.inputs, shares), validation=nothing(), how=how, members=2, folds=2)
    assert loss(found, made(200, 3)) < np.log(2)


def test_boosting_weighs_what_was_wrong_and_keeps_no_member_that_harms(ensemble: Learnt, made: Made, heard: Any) -> None:
    stump = {"learner": "boosted-trees", "trees": 1, "leaves": 2, "learning_rate": 1.0, "patience": 1, "min_rows_in_leaf": 5}
    one, many = (ensemble(stump, how="boosting", members=members) for members in (2, 25))
    assert loss(many, made(500, 3)) < loss(one, made(500, 3)), "a stump is weak: more of them are better"
    assert len(many.members) > 2
    strong = {**TREES, "trees": 200, "leaves": 31, "min_rows_in_leaf": 2, "learning_rate": 0.5}
    few = ensemble(strong, how="boosting", members=6, progress=heard)
    assert "no better than chance on the rows it weighs" in heard.sentences[0], "a strong learner leaves little to boost"
    assert heard.sentences[1].startswith(f"Boosting keeps {len(few.members)} of 5 members")


def test_boosting_ends_where_nothing_is_wrong(ensemble: Learnt, made: Made, heard: Any) -> None:
    train, validation = (
        Examples(rows.inputs, (np.asarray(rows.inputs["codes"])[:, 0] > 3).astype(np.int64)) for rows in (made(300, 1), made(100, 2))
    )
    assert len(ensemble(TREES, how="boosting", train=train, validation=validation, progress=heard).members) == 1
    assert "makes no mistake on the training rows" in heard.sentences[0]


def test_boosting_numbers_adds_up_what_its_members_say(ensemble: Learnt, made: Made) -> None:
    stump = {"learner": "boosted-trees", "trees": 2, "leaves": 3, "learning_rate": 1.0, "patience": 2, "min_rows_in_leaf": 5}
    found = ensemble(stump, how="boosting", members=12, link="identity", width=1)
    rows = made(500, 3, "identity")
    answers = [logits(member, rows) for _, member in found.members]
    np.testing.assert_allclose(logits(found, rows), np.sum(answers, axis=0), atol=1e-5)
    assert loss(found, rows) < 0.9 * mean_loss(answers[0], rows.target, "identity")


@pytest.mark.changes("learners.ensemble.folds")
def test_stacking_learns_from_as_many_folds_as_were_asked_for(ensemble: Learnt, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    linear, sizes = plugins.load("learners", "tabular-linear"), list[int]()
    fit = linear.fit
    monkeypatch.setattr(linear, "fit", lambda self, examples, *rest: (sizes.append(len(examples)), fit(self, examples, *rest))[1])
    two, three = (logits(ensemble(LINEAR, {**LINEAR, "l2": 10.0}, how="stacking", folds=folds), made(40)) for folds in (2, 3))
    assert not np.array_equal(two, three)
    assert sizes == [150] * 4 + [300] * 2 + [200] * 6 + [300] * 2


def test_stacking_believes_the_better_learner(ensemble: Learnt, made: Made) -> None:
    useless = {**LINEAR, "l2": 1e6}
    found = ensemble(useless, {**TREES, "trees": 40}, how="stacking", folds=3)
    assert found.blend is not None
    head_WF = np.abs(np.asarray(found.blend["head"]))
    spread_F = np.concatenate([logits(member, made(200, 3)).std(axis=0) for _, member in found.members])
    assert (head_WF * spread_F)[:, 2:].sum() > 10 * (head_WF * spread_F)[:, :2].sum()


def test_folds_are_alike_in_size_and_in_classes() -> None:
    target = np.arange(100) % 4
    fold = folds(target, 5, 0)
    assert np.bincount(fold).tolist() == [20] * 5
    assert all(np.bincount(target[fold == i]).tolist() == [5] * 4 for i in range(5))
    assert not np.array_equal(fold, folds(target, 5, 1))
    assert np.bincount(folds(np.random.default_rng(0).normal(size=(7, 1)), 10, 0)).tolist() == [1] * 7


def test_the_same_seed_gives_the_same_answers(ensemble: Learnt, made: Made) -> None:
    one, other, another = (logits(ensemble(TREES, members=2, seed=seed), made(40)) for seed in (3, 3, 4))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, another)


@pytest.mark.parametrize("how", WAYS)
def test_a_killed_ensemble_learns_no_finished_member_again(
    ensemble: Learnt, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    undisturbed = logits(ensemble(*WAYS[how], how=how, members=3, folds=2), made(40))
    fits: list[str] = []
    for name in ("boosted-trees", "tabular-linear"):
        kind = plugins.load("learners", name)
        monkeypatch.setattr(kind, "fit", lambda self, *given, fit=kind.fit: (fits.append(self.tier), fit(self, *given))[1])
    with pytest.raises(Killed):
        ensemble(*WAYS[how], how=how, members=3, folds=2, folder=tmp_path / "killed", progress=Killer.after(1))
    assert len(fits) == 2
    resumed = logits(ensemble(*WAYS[how], how=how, members=3, folds=2, folder=tmp_path / "killed"), made(40))
    assert len(fits) == (6 if how == "stacking" else 3)
    assert np.array_equal(resumed, undisturbed)


def test_a_spent_allowance_ends_it_with_the_members_it_has(ensemble: Learnt, heard: Any) -> None:
    found = ensemble(TREES, members=4, allowance=Allowance(seconds=-1.0), progress=heard)
    assert len(found.members) == 1
    assert "ends with 1 of its members, since its time" in heard.sentences[0]


def test_several_workers_are_refused(made: Made, tmp_path: Path) -> None:
    class Two(Alone):
        count = 2

    learner = Ensemble.create(Ensemble.Options(of=[TREES]), {"logits": Spec(2, "softmax")})
    with pytest.raises(PlanError, match="Leave distributed out"):
        learner.fit(made(20), made(20), Fitting(0, Silent(), tmp_path, tmp_path, workers=Two()))


def test_before_it_has_learnt_it_says_so(tmp_path: Path) -> None:
    learner = Ensemble.create(Ensemble.Options(of=[TREES]), {"logits": Spec(2, "softmax")})
    assert learner.exits == {}
    for ask in (lambda: learner.run({}), lambda: learner.save(tmp_path), lambda: learner.export(tmp_path)):
        with pytest.raises(RunFailed, match="has not learnt yet"):
            ask()
