"""Tiers are tried on real rows in a process of their own, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penjing.core import plugins
from penjing.core.learning.tiers import TierConfig
from penjing.core.learning.trials import Course
from penjing.core.machine import Machine
from penjing.core.protocols import Silent
from penjing.core.snapshot import Snapshot
from penjing.core.types import Estimate
from penjing.pipeline import probe, trial
from penjing.pipeline.probe import Probe, batch_of, courses_of, whole
from penjing.plugins.learners.tabular_network.options import Options as TabularOptions
from penjing.stages.prepare.config import DataConfig
from penjing.stages.prepare.prepare import prepare
from penjing.training.regime import Regime


class Heard(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder = tmp_path_factory.mktemp("probe")
    lines = (f"{'word ' * (1 + i % 9)}number {i % 5},{'yes' if i % 5 < 2 else 'no'}\n" for i in range(400))
    (folder / "rows.csv").write_text("text,answer\n" + "".join(lines))
    (folder / "data").mkdir()
    prepare(DataConfig(source=str(folder / "rows.csv"), target="answer"), None, 0, folder / "data", Silent())
    return Snapshot.open(folder / "data")


def tried(data: Snapshot, cache: Path, heard: Heard, **tier: Any) -> Estimate | None:
    config = TierConfig.parse(tier)
    learner, sample = plugins.load("learners", config.learner), data.rows("train")[:50]
    return Probe(data, cache, 0, heard).tried(
        config, lambda count: learner.plan(config.options, sample, data.columns, data.task.outputs, Machine.here(), count)
    )


def test_a_tier_is_tried_once_and_what_was_tried_is_kept(data: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    first = tried(data, tmp_path, heard, learner="linear")
    assert first is not None
    assert first.probed
    assert 0 < (first.seconds_low or 0) <= first.seconds <= (first.seconds_high or 0)
    assert first.memory_bytes > 50 << 20
    monkeypatch.setattr(probe.subprocess, "run", lambda *_, **__: pytest.fail("tried again"))
    assert tried(data, tmp_path, heard, learner="linear") == first
    assert not list(tmp_path.glob("trying-*"))
    assert heard.said == []


def test_other_options_are_tried_anew(data: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Probe, "_try", lambda self, tier, count: asked.append(count))
    for epochs in (1, 2):
        tried(data, tmp_path, Heard(), learner="linear", epochs=epochs)
    assert len(asked) == 2


def test_a_trial_that_fails_is_told_and_the_formula_stands(data: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe.sys, "executable", "/bin/false")
    heard = Heard()
    assert tried(data, tmp_path, heard, learner="linear") is None
    assert heard.said == ["Tier 'linear' could not be tried (it said nothing): what it will cost is reckoned by a formula."]
    assert not list(tmp_path.iterdir())


def test_a_transformer_is_seen_step_by_step(data: Snapshot, tmp_path: Path, tiny_model: Path) -> None:
    tier = TierConfig.parse({"learner": "transformer", "model": f"path:{tiny_model}", "tune": "full", "batch_size": 16, "runtime": "torch-runtime"})
    told = Probe(data, tmp_path, 0, Heard())._try(tier, data.counts["train"])
    assert told is not None
    large = told["trials"]["large"]
    assert large["rows"] > trial.FEW
    assert [descent["rows"] for descent in large["descents"]] == [pytest.approx(16, rel=0.5)]
    assert large["before"] > 0 < large["after"]


def test_rows_are_drawn_from_all_sizes(data: Snapshot) -> None:
    pool = trial.pool(data.rows("train"))
    sizes = [len(row["text"]) for row in trial.drawn(pool, 9)]
    assert len(pool) == data.counts["train"]
    assert sizes == sorted(sizes)
    assert sizes[0] < 25
    assert sizes[-1] > 50


def test_nothing_is_drawn_from_no_rows() -> None:
    assert trial.drawn([], 0) == []


def test_a_trial_keeps_the_batch_that_all_rows_will_have() -> None:
    assert batch_of(TabularOptions(), 100_000) == 256
    assert batch_of(TabularOptions(), 2_000) == 20
    assert batch_of(Regime(batch_size=7), 10) == 7


@pytest.mark.parametrize(("patience", "fewest"), [(2, 3), (20, None)])
def test_what_may_stop_early_is_said_to(patience: int, fewest: int | None) -> None:
    found = whole(object, Regime(epochs=10, patience=patience), 1000, 100, 1, lambda count: Estimate(1, 1, 1))
    assert found.fewest_epochs == fewest
    assert found.courses == [Course(1000, 10, 32)]


def test_a_learner_may_tell_what_it_descends() -> None:
    class Twice:
        @classmethod
        def courses(cls, options: Any, count: int) -> list[Course]:
            return [Course(10, 1, 1), Course(count, options.epochs, 2)]

    assert whole(Twice, Regime(epochs=4), 100, 10, 1, lambda count: Estimate(1, 1, 1)).courses == [Course(10, 1, 1), Course(100, 4, 2)]


def test_what_is_learnt_from_texts_alone_comes_first() -> None:
    options = plugins.options("learners", "transformer")(tune="full", epochs=2, pretrain={"objective": "masked", "epochs": 7, "batch_size": 64})
    assert courses_of(options, 500) == [Course(500, 7, 64), Course(500, 2, 32)]
