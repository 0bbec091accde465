"""Shapes: B rows, W width of the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core.blend import Blend, plain
from penjing.core.cascade import NEVER, Cascade, Predictors, Step, output_of
from penjing.core.errors import BadRequest, RunFailed
from penjing.core.files import write_json
from penjing.core.protocols import Task
from penjing.core.tier import Tier
from penjing.core.types import Batch, NDArray, Ragged, Row
from penjing.plugins.tasks.multi_label_text_classification import MultiLabelTextClassification
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.plugins.tasks.text_regression import TextRegression

TASK = TextClassification("rating", ["text"], ["a", "b", "c"])
ENCODED: list[tuple[str, int]] = []
"""Which processor encoded how many rows."""


@dataclass(frozen=True)
class Numbers:
    """A processor: the number that is the text."""

    name: str

    def encode(self, rows: Sequence[Row]) -> Batch:
        ENCODED.append((self.name, len(rows)))
        return {"number": np.array([int(row["text"]) for row in rows], np.int64)}


@dataclass
class Table:
    """An engine: what a table says of the number; counts what it is asked."""

    logits: NDArray
    seen: list[int] = field(default_factory=list)

    def run(self, batch: Batch) -> Batch:
        numbers = np.asarray(batch["number"])
        self.seen += numbers.tolist()
        return {"logits": self.logits[numbers]}

    def work(self, batch: Batch) -> float:
        return float(len(np.asarray(batch["number"])))


@dataclass
class Deep:
    """An engine with exits: at each depth one more column of its table is added up, beginning at the state that it is given."""

    columns: NDArray
    """(depths, numbers, W)"""
    started: list[tuple[int, list[int]]] = field(default_factory=list)
    """From which depth to begin it was asked, for which numbers."""
    depth: int = 0

    def run(self, batch: Batch) -> Batch:
        numbers = np.asarray(batch["number"])
        last = self.depth or len(self.columns)
        first = max([0, *(int(name[5:]) for name in batch if name.startswith("state") and int(name[5:]) <= last)])
        self.started.append((first, numbers.tolist()))
        total = np.zeros((len(numbers), self.columns.shape[2]), np.float32)
        if first:
            state = batch[f"state{first}"]
            assert isinstance(state, Ragged)
            total = state.values.copy()
        for column in self.columns[first:last]:
            total += column[numbers]
        told: Batch = {"logits": total}
        return told | ({f"state{self.depth}": Ragged(total.copy(), np.arange(len(numbers) + 1))} if self.depth else {})

    @property
    def exits(self) -> Mapping[str, Deep]:
        return {f"exit-{depth}": Deep(self.columns, self.started, depth) for depth in range(1, len(self.columns))} if not self.depth else {}

    def work(self, batch: Batch) -> float:
        return float(self.depth or len(self.columns))


def table(seed: int, width: int = 3, numbers: int = 200) -> Table:
    return Table(np.random.default_rng(seed).normal(0, 2, (numbers, width)).astype(np.float32))


def rows(count: int = 200) -> list[Row]:
    return [{"text": str(i)} for i in range(count)]


def tiers(count: int, task: Task = TASK, processors: Sequence[str] = ()) -> dict[str, Tier]:
    width = output_of(task)[1].width
    names = [f"tier{i}" for i in range(count)]
    return {name: Tier(name, task, Numbers((processors or names)[i]), table(i, width)) for i, name in enumerate(names)}


def cascade(of: Mapping[str, Tier], thresholds: Sequence[Sequence[float]], task: Task = TASK, stacked: bool = True) -> Cascade:
    """Steps that blend all tiers so far, or that ask the newest alone."""
    _, spec = output_of(task)
    names = list(of)
    steps = [
        Step(tuple(names[: i + 1]), plain(names[: i + 1] if stacked else [name], spec.width, spec.link), np.array([*thresholds, []][i]))
        for i, name in enumerate(names)
    ]
    return Cascade("cascade", of, tuple(steps))


def said(of: Mapping[str, Tier], asked: Sequence[Row]) -> dict[str, NDArray]:
    return {name: np.asarray(tier.outputs(asked)["logits"]) for name, tier in of.items()}


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("stacked", [True, False])
def test_running_it_is_the_same_as_what_follows_from_its_tiers_answers(count: int, stacked: bool) -> None:
    random = np.random.default_rng(count)
    for _ in range(10):
        of = tiers(count)
        cut = cascade(of, [[t] for t in random.uniform(0.3, 1.0, count - 1)], stacked=stacked)
        follows_BW, step_B = cut.from_said(said(of, rows()))
        assert np.array_equal(np.asarray(cut.outputs(rows())["logits"]), follows_BW)
        assert [p["tier"] for p in cut.predict(rows())] == [cut.steps[step].blend.name for step in step_B]
    assert count == 1 or len(set(step_B)) > 1


@pytest.mark.parametrize("size", [1, 2, 7, 64, 200])
def test_an_answer_does_not_depend_on_the_rows_beside_it(size: int) -> None:
    cut = cascade(tiers(3), [[0.8], [0.7]])
    whole = cut.predict(rows())
    assert [p for start in range(0, 200, size) for p in cut.predict(rows()[start : start + size])] == whole


def test_no_rows_get_no_answers() -> None:
    of = tiers(2)
    cut = cascade(of, [[0.8]])
    assert cut.predict([]) == []
    assert np.asarray(cut.outputs([])["logits"]).shape == (0, 3)
    assert cut.from_said({name: np.zeros((0, 3), np.float32) for name in of})[0].shape == (0, 3)


def test_only_deferred_rows_reach_the_next_tier() -> None:
    of = tiers(3)
    cut = cascade(of, [[0.8], [0.7]])
    _, step_B = cut.from_said(said(of, rows()))
    for tier in of.values():
        tier.engine.seen.clear()  # type: ignore[attr-defined]
    cut.outputs(rows())
    for i, tier in enumerate(of.values()):
        assert sorted(tier.engine.seen) == np.flatnonzero(step_B >= i).tolist()  # type: ignore[attr-defined]
    assert 0 < (step_B == 2).sum() < (step_B >= 1).sum() < 200


def test_rows_are_encoded_again_only_where_the_processor_differs() -> None:
    cut = cascade(tiers(4, processors=["words", "words", "tokens", "words"]), [[0.8], [0.8], [0.8]])
    ENCODED.clear()
    cut.outputs(rows())
    assert [name for name, _ in ENCODED] == ["words", "tokens"]
    assert ENCODED[0][1] == 200 > ENCODED[1][1] > 0


def test_a_threshold_that_nothing_reaches_defers_all_and_one_that_all_reach_defers_none() -> None:
    of = tiers(2)
    asked = said(of, rows())
    assert set(cascade(of, [[NEVER]]).from_said(asked)[1]) == {1}
    assert set(cascade(of, [[0.0]]).from_said(asked)[1]) == {0}


def test_a_confidence_that_just_reaches_the_threshold_is_answered() -> None:
    of = tiers(2)
    first = cascade(of, [[0.5]]).steps[0].blend.apply(said(of, rows()))
    confidence_B = TASK.confidence({"logits": first})
    _, step_B = cascade(of, [[float(confidence_B[17])]]).from_said(said(of, rows()))
    assert step_B[17] == 0
    assert np.array_equal(step_B == 0, confidence_B >= confidence_B[17])


def test_each_class_answered_has_its_own_threshold() -> None:
    of = tiers(2)
    cut = cascade(of, [[0.0, NEVER, 0.7]], stacked=False)
    follows_BW, step_B = cut.from_said(said(of, rows()))
    first = said(of, rows())["tier0"]
    answer_B, confidence_B = first.argmax(axis=1), TASK.confidence({"logits": first})
    assert (step_B[answer_B == 0] == 0).all()
    assert (step_B[answer_B == 1] == 1).all()
    assert np.array_equal(step_B[answer_B == 2] == 0, confidence_B[answer_B == 2] >= 0.7)
    assert np.array_equal(np.asarray(cut.outputs(rows())["logits"]), follows_BW)


def test_an_early_exits_state_is_gone_on_with_for_the_rows_that_are_left() -> None:
    columns = np.random.default_rng(0).normal(0, 1.5, (3, 200, 3)).astype(np.float32)
    deep, other = Deep(columns), table(9)
    members = {m.name: m for m in Tier("deep", TASK, Numbers("words"), deep).members()}
    assert list(members) == ["deep@exit-1", "deep@exit-2", "deep"]
    of = {"deep@exit-1": members["deep@exit-1"], "other": Tier("other", TASK, Numbers("words"), other), **members}
    cut = cascade(of, [[0.7], [0.8], [0.8]])
    follows_BW, step_B = cut.from_said(said(of, rows()))
    deep.started.clear()
    assert np.allclose(np.asarray(cut.outputs(rows())["logits"]), follows_BW, atol=1e-5)
    assert [first for first, _ in deep.started] == [0, 1, 2]
    assert [numbers for _, numbers in deep.started] == [np.flatnonzero(step_B >= least).tolist() for least in (0, 2, 3)]
    assert len(set(step_B)) == 4


def test_tiers_of_different_tasks_are_refused() -> None:
    of = tiers(1) | {"other": Tier("other", TextClassification("rating", ["text"], ["a", "b", "d"]), Numbers("words"), table(1))}
    with pytest.raises(BadRequest, match="'tier0' and 'other' do not share a task"):
        cascade(of, [[0.5]])


@pytest.mark.parametrize(
    "task",
    [MultiLabelTextClassification("rating", ["text"], ["a", "b", "c"], "|"), TextRegression("rating", ["text"], 5.0, 2.0)],
)
def test_every_task_with_one_output_can_be_a_cascade(task: Task) -> None:
    of = tiers(2, task)
    for threshold in (0.0, 0.6, NEVER):
        cut = cascade(of, [[threshold]], task)
        follows_BW, step_B = cut.from_said(said(of, rows()))
        assert np.array_equal(np.asarray(cut.outputs(rows())["logits"]), follows_BW)
        assert [p["tier"] for p in cut.predict(rows())] == [("tier0", "tier0+tier1")[step] for step in step_B]


def test_what_is_described_is_read_again_and_answers_the_same() -> None:
    of = tiers(3)
    cut = cascade(of, [[0.8], [0.1, 0.7, NEVER]])
    again = Cascade.read(cut.described(), of)
    assert again.described() == cut.described()
    assert again.predict(rows()) == cut.predict(rows())


def test_a_missing_tier_is_named_with_what_is_there() -> None:
    of = tiers(2)
    with pytest.raises(BadRequest, match=r"needs the tier 'tier1', which is not there \(found: tier0\)"):
        Cascade.read(cascade(of, [[0.5]]).described(), {"tier0": of["tier0"]})


def test_a_task_of_several_outputs_is_served_by_a_tier_alone() -> None:
    class Two:
        outputs: Mapping[str, Any] = {"start": None, "end": None}

    with pytest.raises(BadRequest, match="2: start, end. Serve a tier alone"):
        output_of(Two())  # type: ignore[arg-type]


def test_what_can_answer_is_written_and_found_by_name(tmp_path: Path) -> None:
    told = cascade(tiers(2), [[0.5]]).described()
    Predictors("cascade", {"cascade": told}).write(tmp_path / "cascade.json")
    found = Predictors.read(tmp_path / "cascade.json")
    assert found.of(None) == found.of("cascade") == told
    with pytest.raises(BadRequest, match="'casacde'.*Did you mean 'cascade'"):
        found.of("casacde")


def test_a_file_of_another_format_is_refused_and_a_missing_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="cascade.json is missing"):
        Predictors.read(tmp_path / "cascade.json")
    write_json(tmp_path / "cascade.json", {"format": 99})
    with pytest.raises(BadRequest, match="format 99"):
        Predictors.read(tmp_path / "cascade.json")


def test_a_calibrated_tier_alone_is_a_cascade_of_one_step() -> None:
    of = tiers(1)
    blend = Blend(("tier0",), "softmax", "temperature", np.array([[0.5]]), np.zeros(3))
    alone = Cascade("tier0", of, (Step(("tier0",), blend, np.zeros(0)),))
    assert [p["label"] for p in alone.predict(rows())] == [p["label"] for p in of["tier0"].predict(rows())]
    assert max(p["score"] for p in alone.predict(rows())) < max(p["score"] for p in of["tier0"].predict(rows()))
