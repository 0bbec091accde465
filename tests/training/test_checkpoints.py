"""A state on disk is whole or told; of the last two one can be gone on with, even after kill -9."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from penjing.training import loop
from penjing.training.averages import Average
from penjing.training.checkpoints import Position, State, learnt_of
from penjing.training.regime import Regime

Made = Callable[..., State]


def made(seed: int = 0, width: int = 4) -> State:
    """Return the state of a net that has learnt a step, with all that a state can hold."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))
    net[2].bias.requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], 0.1, fused=True)
    state = State(net, optimizer, Average(learnt_of(net), Regime(average="ema")))
    net(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    state.average.add(0, 1)
    state.keep_best()
    with torch.no_grad():
        net[0].weight.add_(1.0)
    return state


def content(state: State) -> list[bytes]:
    held = state._tensors() | {f"best.{name}": tensor for name, tensor in state.best.items()}
    return [name.encode() + held[name].numpy().tobytes() for name in sorted(held)]


def test_all_that_learning_depends_on_comes_back(tmp_path: Path) -> None:
    state, other, said = made(), made(1), []
    assert content(state) != content(other)
    state.write(tmp_path, Position("mine", epoch=3, step=5, best_epoch=2, best_loss=0.5, factor=0.25))
    found = other.read(tmp_path, "mine", said.append)
    assert found is not None
    assert (found.epoch, found.step, found.best_epoch, found.best_loss, found.factor, found.averaged) == (3, 5, 2, 0.5, 0.25, 1)
    assert content(state) == content(other)
    assert not said


def test_what_is_not_learnt_is_not_kept() -> None:
    assert "weight.2.bias" not in made()._tensors()
    assert "weight.1.running_mean" in made()._tensors()


def test_the_last_two_states_are_kept_with_the_best_weights_that_they_name(tmp_path: Path) -> None:
    state, position = made(), Position("mine")
    for epoch in (0, 0, 1, 4):
        position.best_epoch = epoch
        state.write(tmp_path, position)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best-1.safetensors",
        "best-4.safetensors",
        "state-3-1.safetensors",
        "state-4-4.safetensors",
    ]


def test_ten_states_are_counted_as_numbers(tmp_path: Path) -> None:
    state, position = made(), Position("mine")
    for step in range(12):
        position.step = step
        state.write(tmp_path, position)
    found = made(1).read(tmp_path, "mine", lambda _: None)
    assert found is not None
    assert (found.number, found.step) == (12, 11)


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "another version", "another net"])
def test_a_broken_state_is_told_and_the_one_before_is_taken(tmp_path: Path, damage: str) -> None:
    state, position, said = made(), Position("mine", step=1), []
    state.write(tmp_path, position)
    before = content(state)
    position.step = 2
    with torch.no_grad():
        state.weights["0.weight"].add_(1)
    if damage == "another net":
        made(width=5).write(tmp_path, position)
    else:
        state.write(tmp_path, position)
    path = tmp_path / "state-2-0.safetensors"
    whole = path.read_bytes()
    broken = {"truncated": whole[:-9], "empty": b"", "garbage": b"\xff" * 999, "another version": whole.replace(b"fingerprint", b"fingerprant")}
    path.write_bytes(broken.get(damage, whole))
    other = made(1)
    found = other.read(tmp_path, "mine", said.append)
    assert found is not None
    assert found.step == 1
    assert content(other) == before
    assert len(said) == 1
    assert str(path) in said[0]
    assert "Learning goes on from the one before it" in said[0]
    assert not path.exists()


def test_broken_best_weights_are_written_anew(tmp_path: Path) -> None:
    state, said = made(), []
    state.write(tmp_path, Position("mine"))
    best = tmp_path / "best-0.safetensors"
    whole = best.read_bytes()
    best.write_bytes(whole[:100])
    assert made(1).read(tmp_path, "mine", said.append) is None
    assert len(said) == 1
    state.write(tmp_path, Position("mine"))
    assert best.read_bytes() == whole


def test_other_work_is_neither_gone_on_with_nor_mixed_up_with_this(tmp_path: Path) -> None:
    made(5).write(tmp_path, Position("other", best_epoch=3))
    state, said = made(), []
    before = content(state)
    assert state.read(tmp_path, "mine", said.append) is None
    assert content(state) == before
    assert not said
    state.write(tmp_path, Position("mine", best_epoch=3))
    again = made(1)
    assert again.read(tmp_path, "mine", said.append) is not None
    assert content(again) == content(state)


def test_the_best_comes_back_with_an_optimizer_that_begins_anew() -> None:
    state = made()
    state.take_best()
    assert all(torch.equal(state.weights[name], tensor) for name, tensor in state.best.items())
    assert not state.optimizer.state
    assert not state.average.state()


def test_kill_9_at_random_moments_ends_with_the_same_bits(tmp_path: Path, descend: Any, Tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it learns or writes, again and again, and then let go on to its end. The child is a fork, which is there at once."""
    regime = {"epochs": 6, "average": "ema"}
    whole = descend(**regime, folder="whole").weights
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loop, "_WRITING", float("inf"))
    random = np.random.default_rng()
    for _ in range(5):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                descend(telling(Tiny(), writing), **regime)
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading, "rb") as told:  # noqa: PTH123  # a pipe
            told.read(int(random.integers(1, 6)))
            time.sleep(random.random() * 0.005)
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
    learnt = descend(**regime)
    assert learnt.weights == whole
    assert len(learnt.asked) < 48, "it went on from where it was"


def telling(trainee: Any, pipe: int) -> Any:
    """Return `trainee`, which writes a byte into `pipe` whenever it is asked for losses."""
    losses = trainee.losses

    def run(rows: Any, epoch: int) -> Any:
        os.write(pipe, b".")
        time.sleep(0.002)
        return losses(rows, epoch)

    trainee.losses = run
    return trainee
