"""Several workers learn what one does, whatever becomes of one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.allowance import Allowance
from penjing.core.curve import Point
from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Spec
from penjing.plugins.launchers.local.launcher import Local, _tidy

Learn = Callable[..., Any]
ROUNDING = 1e-5
"""Of logits about 1 after 40 steps: the order in which float32 sums are made (1e-7 a step) is all that differs."""


@pytest.fixture(scope="module")
def undisturbed(learn: Learn) -> Any:
    return learn(2)


def children_of(parent: int) -> list[int]:
    """Return the processes that `parent` has started, in their order."""
    found = [path.read_text().split() for path in Path(f"/proc/{parent}/task").glob("*/children")]
    return sorted(int(pid) for pids in found for pid in pids)


def children() -> list[int]:
    return children_of(os.getpid())


def runs(pid: int) -> bool:
    """A process that has ended, and that nobody has asked for yet, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_two_workers_learn_what_one_does(learn: Learn, undisturbed: Any) -> None:
    alone = learn(0)
    assert np.abs(alone.answers).max() > 1
    assert np.abs(undisturbed.answers - alone.answers).max() < ROUNDING
    ends, theirs = ([(p.step, p.validation_loss) for p in learnt.heard.points if p.quality is not None] for learnt in (undisturbed, alone))
    assert ends == [(step, pytest.approx(loss, abs=ROUNDING)) for step, loss in theirs]
    assert sum(point.examples for point in undisturbed.heard.points) == 4 * 300
    assert undisturbed.heard.done == alone.heard.done == 4 * 300
    assert not undisturbed.heard.said


def test_a_killed_worker_is_named_and_nothing_else_comes_of_it(learn: Learn, undisturbed: Any) -> None:
    disturbed = learn(2, fault="kill", at=25)
    (said,) = disturbed.heard.said
    assert said.startswith("Worker 1 was killed (SIGKILL, as the system does when memory runs out); all 2 go on from the last checkpoint. Its log, ")
    assert "worker-1.log, ends: " in said
    steps = [point.step for point in disturbed.heard.points]
    assert steps == sorted(steps)  # not from the beginning
    assert np.array_equal(disturbed.answers, undisturbed.answers)


def test_what_a_worker_fails_of_is_raised_and_not_tried_again(learn: Learn) -> None:
    with pytest.raises(RunFailed, match=r"^The network fell over. Pick it up\.$"):
        learn(2, fault="raise", at=3)
    assert not children()


@pytest.mark.journey
def test_a_worker_that_dies_each_time_at_the_same_place_ends_the_run(learn: Learn) -> None:
    with pytest.raises(
        RunFailed, match=r"^Worker 1 ended with code 7, 3 times in a row without getting further. Ask for fewer .* Its log, .*worker-1.log"
    ):
        learn(2, fault="always", at=1)


@pytest.mark.journey
def test_a_worker_that_hangs_is_found_out(learn: Learn, undisturbed: Any) -> None:
    disturbed = learn(2, fault="hang", at=25, patience=20.0)
    assert [said.split(";")[0] for said in disturbed.heard.said] == ["Worker 1 does not answer"]
    assert np.array_equal(disturbed.answers, undisturbed.answers)


@pytest.mark.journey
def test_an_allowance_ends_all_workers_with_the_best_so_far(learn: Learn) -> None:
    allowance = Allowance(seconds=0.0)
    ended = learn(2, allowance=allowance)
    assert allowance.stopped == "its time (0 s) is used up"
    assert "its time (0 s) is used up" in ended.heard.said[0]
    assert ended.heard.points[-1].step == 1


class Impatient(Silent):
    def tell(self, name: str, point: Point) -> None:
        assert len(children()) == 2
        raise KeyboardInterrupt


@pytest.mark.journey
def test_an_interruption_leaves_nobody_behind(learn: Learn) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(2, heard=Impatient())
    assert not children()


HANGS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import OUTPUTS, SMALL, table
from penjing.core import plugins
from penjing.core.protocols import Fitting, Silent
from penjing.plugins.launchers.local.launcher import Local
folder = Path(sys.argv[2])
(folder / "checkpoints").mkdir()
options = plugins.options("learners", "faulty")(**SMALL, fault="hang", at=25)
fitting = Fitting(0, Silent(), folder / "checkpoints", folder / "cache", tell=lambda *_: print("learning", flush=True))
Local(2, 1).fit("faulty", options, OUTPUTS, table(300, 1), table(100, 2), fitting)
"""


@pytest.mark.journey
def test_workers_end_when_what_started_them_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HANGS, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "learning\n"
        pids = children_of(running.pid)
        assert len(pids) == 2
        running.kill()
    deadline = time.monotonic() + 60
    while any(map(runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(runs, pids))


@pytest.mark.journey
@pytest.mark.parametrize("tune", ["full", "lora"])
def test_two_workers_tune_an_encoder_as_one_does_and_a_killed_one_changes_nothing(tmp_path: Path, tiny_bert: Path, tune: str) -> None:
    answers = {name: tuned(tmp_path / name, tiny_bert, tune, name) for name in ("alone", "two", "killed")}
    assert np.array_equal(answers["killed"], answers["two"])
    assert np.abs(answers["two"] - answers["alone"]).max() < 1e-4 * np.abs(answers["alone"]).max()


def tuned(folder: Path, model: Path, tune: str, how: str) -> Any:
    """Return what a tiny BERT answers that was tuned by one worker, or by two of which one may be killed on the way."""
    folder.mkdir()
    options = plugins.options("learners", "transformer")(
        model=str(model), tune=tune, epochs=3, batch_size=8, learning_rate=1e-3, max_tokens=32, precision="f32"
    )
    outputs, examples, validation = {"logits": Spec(2, "softmax")}, texts(60, 1, model), texts(20, 2, model)
    killer = Killer() if how == "killed" else Silent()
    tell = killer.tell if isinstance(killer, Killer) else lambda *_: None
    fitting = Fitting(0, killer, folder / "checkpoints", folder / "cache", tell=tell)
    fitting.checkpoints.mkdir()
    if how == "alone":
        learner = plugins.load("learners", "transformer").create(options, outputs)
        learner.fit(examples, validation, fitting)
    else:
        learner = Local(2, 1).fit("transformer", options, outputs, examples, validation, fitting)
    assert not isinstance(killer, Killer) or len(killer.said) == 1
    return learner.run(texts(30, 3, model).inputs)["logits"]


class Killer(Silent):
    """Kills the second worker once, after the second epoch."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def tell(self, name: str, point: Point) -> None:
        if point.epoch >= 2 and not self.said:
            os.kill(children()[1], signal.SIGKILL)


def texts(count: int, seed: int, model: Path) -> Examples:
    words = ["works", "well", "pain", "no", "help", "relief", "very", "the", "doctor", "gave", "me", "this", "worse"]
    random = np.random.default_rng(seed)
    rows = [{"text": " ".join([*random.choice(words, random.integers(1, 12)), ("good", "bad")[i % 2]])} for i in range(count)]
    tokens = plugins.load("processors", "tokens")
    processor = tokens(**tokens.options_from(rows, ["text"], {"model": str(model), "max_tokens": 32}))
    return Examples(processor.encode(rows), np.arange(count) % 2)


def test_what_a_killed_worker_had_half_written_is_taken_away(tmp_path: Path) -> None:
    for name in (".state.safetensors.71.partial", ".state.safetensors.7.partial", "state-71.safetensors"):
        (tmp_path / name).touch()
    _tidy([71, 72], [tmp_path, tmp_path / "nothing"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".state.safetensors.7.partial", "state-71.safetensors"]
