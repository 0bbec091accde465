"""A learner inside a learner: named, learnt once, kept and opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.curve import Point
from penjing.core.errors import BadRequest, PlanError
from penjing.core.examples import Examples
from penjing.core.learning.inner import Inner, alone, keep, learnt, opened, processor_of, seed_of, within
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Ragged, Spec
from penjing.core.workers import Alone

OUTPUTS = {"logits": Spec(2, "softmax")}


def examples(count: int = 40) -> Examples:
    """Each row has the feature of its class, and some noise."""
    rows = [np.array(sorted({i % 2, 2 + i % 7})) for i in range(count)]
    ends = np.array([[len(row), len(row)] for row in rows], np.int32)
    inputs: Any = {"features": Ragged.of(rows, np.int32), "counts": Ragged.of([np.ones(len(row)) for row in rows], np.uint8), "ends": ends}
    return Examples(inputs, np.arange(count) % 2)


def fitting(folder: Path, **more: Any) -> Fitting:
    return Fitting(3, Silent(), folder, folder, **more)


def test_a_learner_is_named_as_a_tier_is() -> None:
    one = Inner.parse({"learner": "linear", "epochs": 2})
    assert Inner.parse(one.dump()) == one == Inner.parse(one)
    assert Inner.parse("linear") != one
    assert one.changed({"l2": 0.5}).options.l2 == 0.5
    assert one.changed({"l2": 0.5}).options.epochs == 2
    assert one.processor == processor_of(one.kind, one.options) == "ngrams"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "not 3"),
        ({"epochs": 3}, "with the key 'learner'"),
        ("lineer", "Did you mean 'linear'?"),
        ({"learner": "linear", "epoch": 3}, "Did you mean 'epochs'?"),
        ({"learner": "linear", "teacher": "x"}, "'teacher', which belongs to the tier"),
    ],
)
def test_what_names_no_learner_is_refused(value: Any, said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        Inner.parse(value)
    assert said in str(refused.value)


def test_learners_of_learners_say_their_processor_by_their_options() -> None:
    search = plugins.load("learners", "search")
    assert processor_of(search, search.Options(of="boosted-trees")) == "columns"
    assert processor_of(plugins.load("learners", "linear"), None) == "ngrams"


def test_seeds_differ_by_number_and_the_first_is_the_given_one() -> None:
    assert seed_of(7, 0) == 7
    found = [seed_of(seed, number) for seed in (7, 8) for number in range(1, 5)]
    assert len(set(found)) == len(found)
    assert all(0 <= one < 2**31 for one in found)
    assert found[0] == seed_of(7, 1)


def test_a_fitting_within_has_checkpoints_and_curves_of_its_own(tmp_path: Path) -> None:
    told: list[str] = []
    inner = within(fitting(tmp_path, tell=lambda name, point: told.append(name)), "trial-1", 9)
    inner.tell("learning", Point(1, 0.1, 1.0, 0.5, 0.1))
    assert told == ["trial-1: learning"]
    assert inner.checkpoints == tmp_path / "trial-1"
    assert inner.checkpoints.is_dir()
    assert inner.seed == 9


def test_what_is_learnt_once_is_opened_the_next_time(tmp_path: Path) -> None:
    one, rows = Inner.parse({"learner": "linear", "learning_rate": 0.3}), examples()
    place = within(fitting(tmp_path), "here", 0)
    (place.checkpoints / "left over").mkdir()
    (place.checkpoints / "left over.txt").touch()
    first = learnt(one, OUTPUTS, rows, rows, place)
    assert [path.name for path in place.checkpoints.iterdir()] == ["learnt"]
    again = learnt(one, OUTPUTS, Examples(rows.inputs, 1 - rows.target), rows, place)
    assert np.array_equal(again.run(rows.inputs)["logits"], first.run(rows.inputs)["logits"])


def test_a_learner_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    one = Inner.parse({"learner": "linear"})
    (tmp_path / ".x.partial" / "learner").mkdir(parents=True)
    (tmp_path / ".x.partial" / "half").touch()

    class Full:
        def save(self, folder: Path) -> None:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        keep(one, Full(), tmp_path / "x")
    assert not (tmp_path / "x").exists()
    learner = learnt(one, OUTPUTS, examples(), examples(), within(fitting(tmp_path), "y", 0))
    keep(one, learner, tmp_path / "x")
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["inner.json", "learner"]
    assert opened(tmp_path / "x")[0] == one


def test_several_workers_are_refused(tmp_path: Path) -> None:
    class Two(Alone):
        count = 2

    alone(fitting(tmp_path), "search")
    with pytest.raises(PlanError, match="The search tier .* Leave distributed out"):
        alone(fitting(tmp_path, workers=Two()), "search")
