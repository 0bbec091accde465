"""The search tier on encoded columns, through real learners."""

from __future__ import annotations

import shutil
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
from penjing.core.protocols import Fitting, HasExits, HasLayers, Silent
from penjing.core.types import Spec
from penjing.plugins.learners.search.learner import Search
from penjing.plugins.learners.search.trials import Watched, judged

OUTPUTS = {"logits": Spec(2, "softmax")}
Learnt = Callable[..., Search]
SPACE = {"learning_rate": [0.001, 0.1], "leaves": {"low": 2, "high": 16}}


def loss(learner: Any, rows: Examples) -> float:
    return judged(learner, OUTPUTS, rows)


@pytest.mark.changes("learners.search.of")
def test_what_is_found_is_the_learner_that_was_named(search: Learnt) -> None:
    assert search("boosted-trees", trials=2, space=SPACE).inner.learner == "boosted-trees"
    assert search("tabular-linear", trials=2, of={"crosses": 0, "iterations": 5}, space={"l2": [0.1, 1.0]}).inner.learner == "tabular-linear"


@pytest.mark.changes("learners.search.space")
def test_only_what_is_in_the_space_is_varied(search: Learnt) -> None:
    found = search(trials=6, space={"learning_rate": [0.3]}, of={"learning_rate": 0.001})
    assert {one["values"].get("learning_rate") for one in found.tried} == {None, 0.3}
    assert found.inner.options.learning_rate == 0.3, "one step of 0.3 is worth three hundred of 0.001"
    assert found.inner.options.leaves == 31
    assert {len(one["values"]) for one in search(trials=2).tried} == {0, 6}, "the usual space of boosted trees has six options"


@pytest.mark.changes("learners.search.trials")
def test_more_trials_are_more_settings_and_no_worse_on_the_rows_they_are_judged_by(search: Learnt, made: Callable[..., Examples]) -> None:
    few, more = (search(trials=trials, space=SPACE) for trials in (1, 6))
    assert (len(few.tried), len(more.tried)) == (1, 6)
    assert loss(more, made(200, 2)) <= loss(few, made(200, 2))
    assert loss(more, made(200, 2)) == pytest.approx(min(one["loss"] for one in more.tried))


def test_the_settings_given_stay_where_nothing_is_better(search: Learnt) -> None:
    found = search(trials=3, space={"learning_rate": [1e-6]}, of={"learning_rate": 0.1})
    assert found.inner.options.learning_rate == 0.1
    assert found.tried[0]["values"] == {}


def test_the_same_seed_finds_the_same(search: Learnt, made: Callable[..., Examples]) -> None:
    one, other = (search(trials=4, space=SPACE, seed=7) for _ in range(2))
    assert one.tried == other.tried
    assert np.array_equal(one.run(made(50).inputs)["logits"], other.run(made(50).inputs)["logits"])


def test_it_saves_exports_and_answers_as_what_it_found(search: Learnt, made: Callable[..., Examples], tmp_path: Path) -> None:
    found, batch = search(trials=3, space=SPACE), made(60, 5).inputs
    (tmp_path / "learnt").mkdir()
    (tmp_path / "engine").mkdir()
    found.save(tmp_path / "learnt")
    again = Search.open(tmp_path / "learnt")
    assert again.tried == found.tried
    name = again.export(tmp_path / "engine")
    assert name == "trees"
    engine = plugins.load("engines", name).open(tmp_path / "engine")
    for answering in (again, engine):
        assert np.array_equal(answering.run(batch)["logits"], found.run(batch)["logits"])
    assert isinstance(found, HasLayers)
    assert isinstance(found, HasExits)
    assert [name for name, _ in found.layers(batch)] == [name for name, _ in engine.layers(batch)]
    assert found.exits == {}


def test_a_killed_search_goes_on_and_does_no_trial_twice(made: Callable[..., Examples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = Search.Options(of={"learner": "boosted-trees", "trees": 20}, space=SPACE, trials=6)
    fits = []
    trees = plugins.load("learners", "boosted-trees")
    fit = trees.fit
    monkeypatch.setattr(trees, "fit", lambda self, *given: (fits.append(self.options), fit(self, *given))[1])

    def go(folder: Path, progress: Any) -> Search:
        folder.mkdir(exist_ok=True)
        learner = Search.create(options, OUTPUTS)
        learner.fit(made(300, 1), made(200, 2), Fitting(0, progress, folder, folder))
        return learner

    undisturbed = go(tmp_path / "undisturbed", Silent())
    for killed_after in (2, 4):
        fits.clear()
        last = f"trial {killed_after}"
        with pytest.raises(Killed):
            go(tmp_path / "killed", Killer(lambda _, done, note, last=last: done == 1 and note.startswith(last)))
    resumed = go(tmp_path / "killed", Silent())
    assert len(fits) == 4, "two before the second kill and two after it"
    assert resumed.tried == undisturbed.tried
    assert np.array_equal(resumed.run(made(50).inputs)["logits"], undisturbed.run(made(50).inputs)["logits"])


def test_what_another_search_left_is_not_gone_on_with(search: Learnt, tmp_path: Path) -> None:
    search(trials=3, space=SPACE, folder=tmp_path / "same")
    other = search(trials=2, space={"leaves": [5]}, folder=tmp_path / "same")
    assert [one["values"] for one in other.tried] == [{}, {"leaves": 5}]


def test_a_spent_allowance_ends_the_search_with_the_best_so_far(search: Learnt, heard: Any) -> None:
    asked = []
    allowance = Allowance(joules=1.0, drawn=lambda: float(len(asked) > 2) * 2 + float(asked.append(1) or 0))
    found = search(trials=50, space=SPACE, allowance=allowance, heard=heard)
    assert 1 <= len(found.tried) < 50
    assert "the search ended since its energy (1 J) is used up" in heard.sentences[-1]


def test_a_spent_allowance_still_learns_the_settings_given(search: Learnt) -> None:
    assert len(search(trials=5, space=SPACE, allowance=Allowance(seconds=-1.0)).tried) == 1


def test_a_trial_that_fails_is_noted_and_the_search_goes_on(search: Learnt, heard: Any) -> None:
    space = {"monotone": [{"no such column": "increasing"}]}  # found out when it learns
    found = search(trials=3, space=space, heard=heard)
    assert [one["loss"] is None for one in found.tried] == [False, True, True]
    assert "no such column" in found.tried[1]["why"]
    assert "2 failed" in heard.sentences[-1]
    with pytest.raises(PlanError, match="no such column"):
        search(trials=3, of={"monotone": {"no such column": "increasing"}}, space=SPACE)


def test_without_validation_rows_a_part_of_the_training_rows_judges_and_all_are_learnt(
    search: Learnt, made: Callable[..., Examples], nothing: Examples
) -> None:
    found = search(trials=3, space=SPACE, validation=nothing)
    assert len(found.tried) == 3
    assert loss(found, made(200, 2)) < np.log(2)
    few = search(trials=3, space=SPACE, validation=nothing, count=6)
    assert few.tried == []
    assert np.isfinite(few.run(made(5).inputs)["logits"]).all()


@pytest.mark.changes("learners.search.full_trials")
def test_a_trial_that_is_behind_is_stopped_once_enough_were_learnt_to_their_end(search: Learnt, heard: Any) -> None:
    net = {"learner": "tabular-network", "of": {"width": 16, "layers": 1, "epochs": 5, "learning_rate": 0.02, "runtime": "torch-runtime"}}
    space = {"learning_rate": [1e-6]}
    never, soon = (search(**net, trials=3, space=space, full_trials=n, heard=heard, count=100) for n in (3, 1))
    assert not any(one["behind"] for one in never.tried)
    assert any(one["behind"] for one in soon.tried)
    assert max(len(one["curve"]) for one in soon.tried if one["behind"]) < 5
    assert "stopped early" in heard.sentences[-1]


def test_a_watched_allowance_is_spent_when_its_trial_is_behind_or_the_given_one_is() -> None:
    behind: list[bool] = []
    watched = Watched.over(Allowance(), lambda: bool(behind))
    assert watched.spent() is None
    behind.append(True)
    assert watched.spent() == "other settings do better"
    assert "its time" in str(Watched.over(Allowance(seconds=-1.0), lambda: False).spent())


def test_several_workers_are_refused(made: Callable[..., Examples], tmp_path: Path) -> None:
    from penjing.core.workers import Alone

    class Two(Alone):
        count = 2

    learner = Search.create(Search.Options(of={"learner": "boosted-trees"}), OUTPUTS)
    with pytest.raises(PlanError, match="Leave distributed out"):
        learner.fit(made(20), made(20), Fitting(0, Silent(), tmp_path, tmp_path, workers=Two()))


def test_before_it_has_learnt_it_says_so(tmp_path: Path) -> None:
    learner = Search.create(Search.Options(of={"learner": "boosted-trees"}), OUTPUTS)
    assert learner.exits == {}
    for ask in (lambda: learner.run({}), lambda: learner.save(tmp_path), lambda: learner.export(tmp_path)):
        with pytest.raises(RunFailed, match="has not learnt yet"):
            ask()


def test_nothing_but_trials_and_the_best_is_left_on_the_disk(search: Learnt, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    found = search(trials=4, space=SPACE, folder=folder)
    best = min(range(4), key=lambda i: found.tried[i]["loss"])
    assert sorted(path.name for path in folder.iterdir()) == [f"best-{best}", "trials.json"]
    shutil.rmtree(folder)
