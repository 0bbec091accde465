"""Small nets learn, the same way each time, and are the same after a kill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kills import Killed, Killer
from penjing.core.errors import PlanError, RunFailed
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, Silent
from penjing.core.statistics import mean_loss, probabilities
from penjing.core.types import Batch, Link, NDArray, Ragged, Spec
from penjing.training import loop
from penjing.training.losses import scaled
from penjing.training.nets import net as nets
from penjing.training.nets.net import Net, learn_net, tensors
from penjing.training.regime import Regime

REGIME = Regime(epochs=6, learning_rate=0.02, batch_size=16, precision="f32", patience=10)


class Small(Net):
    """A layer that is normed by what a batch holds, and left out at chance: all that a kill could lose."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__(outputs=outputs)
        self.first, self.norm, self.dropout, self.head = nn.Linear(3, 12), nn.BatchNorm1d(12), nn.Dropout(0.2), nn.Linear(12, outputs)

    def steps(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        values = self.dropout(torch.relu(self.norm(self.first(batch["x"]))))
        yield "layer 1", values
        yield "head", self.head(values)

    def scale_output(self, factor: float) -> None:
        self.head.weight.mul_(factor)
        self.head.bias.mul_(factor)


def examples(count: int, seed: int, link: Link = "softmax", noise: float = 0.0) -> Examples:
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 3)).astype(np.float32)
    target = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    target = np.where(random.random(count) < noise, 1 - target, target)
    return Examples({"x": x}, target if link == "softmax" else np.stack([target, 1 - target], axis=1).astype(np.float32))


def small(seed: int = 0) -> Small:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Small()


def learnt(folder: Path, link: Link = "softmax", progress: Any = None, train: Examples | None = None, **given: Any) -> Small:
    net, validation = given.pop("net", None) or small(), given.pop("validation", examples(60, 2, link))
    augment, mixup, seed = given.pop("augment", None), given.pop("mixup", 0.0), given.pop("seed", 0)
    fitting = Fitting(seed, progress or Silent(), folder / "checkpoints", folder / "cache")
    regime = Regime(**REGIME.model_dump() | given)
    learn_net(net, Spec(2, link), train or examples(200, 1, link), validation, regime, fitting, "small", augment, mixup)
    return net


def logits(net: Net, part: Examples) -> NDArray:
    with torch.inference_mode():
        found: NDArray = net(tensors(part.inputs)).numpy()
    return found


def weights(net: Net) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in net.state_dict().values())


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_it_learns_for_every_link(tmp_path: Path, link: Link) -> None:
    held_out = examples(200, 9, link)
    found = logits(learnt(tmp_path, link, epochs=25), held_out)
    assert mean_loss(found, held_out.target, link) < 0.7 * mean_loss(np.zeros((200, 2)), held_out.target, link)


def test_it_learns_from_shares_of_the_classes(tmp_path: Path) -> None:
    train = examples(200, 1)
    shares = np.eye(2, dtype=np.float32)[train.target] * 0.6 + 0.2
    net = learnt(tmp_path, epochs=25, train=Examples(train.inputs, shares), validation=Examples(train.inputs, shares))
    told = probabilities(logits(net, train), "softmax")
    assert (told.argmax(1) == train.target).mean() > 0.85
    assert told.max(1).mean() < 0.9


def test_rows_count_for_what_they_weigh(tmp_path: Path) -> None:
    train = examples(300, 1)
    wrong = np.arange(300) % 3 != 0
    target = np.where(wrong, 1 - train.target, train.target)
    weight = np.where(wrong, 0, 3).astype(np.float32)
    held_out = examples(200, 9)

    def right(part: Examples, name: str) -> float:
        return float((logits(learnt(tmp_path / name, epochs=25, train=part), held_out).argmax(1) == held_out.target).mean())

    assert right(Examples(train.inputs, target, weight), "weighed") > 0.8
    assert right(Examples(train.inputs, target), "alike") < 0.5


def test_the_best_epoch_is_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    validated = loop._Learning._validated
    monkeypatch.setattr(loop._Learning, "_validated", lambda self: seen.append(validated(self)) or seen[-1])
    net = learnt(tmp_path, epochs=20, learning_rate=0.3, train=examples(60, 1, noise=0.3), batch_size=4)
    losses = [found.loss for found in seen]
    assert min(losses) < losses[-1]
    assert mean_loss(logits(net, examples(60, 2)), examples(60, 2).target, "softmax") == pytest.approx(min(losses), abs=1e-5)


def test_a_beginning_that_learning_cannot_better_is_kept(tmp_path: Path) -> None:
    good = learnt(tmp_path / "good", epochs=25)
    before = {name: tensor.clone() for name, tensor in good.state_dict().items()}
    spoilt = learnt(tmp_path / "spoilt", net=good, epochs=1, train=examples(200, 1, noise=1.0))
    assert all(torch.equal(before[name], tensor) for name, tensor in spoilt.state_dict().items() if not name.startswith("head"))


def test_it_is_as_sure_as_the_rows_that_it_was_chosen_by_bear_out(tmp_path: Path) -> None:
    validation = examples(200, 2, noise=0.25)
    net = learnt(tmp_path, epochs=25, validation=validation)
    scale, _ = scaled(logits(net, validation).astype(np.float64), np.zeros(2), validation.target, "softmax")
    assert scale == pytest.approx(1.0, rel=0.02)


def test_learning_stops_when_it_has_waited_long_enough(tmp_path: Path) -> None:
    class Notes(Silent):
        last = ""

        def advance(self, done: float, note: str = "") -> None:
            self.last = note or self.last

    random = np.random.default_rng(0)
    nothing = Examples(examples(200, 2).inputs, random.integers(0, 2, 200))
    notes = Notes()
    learnt(tmp_path, progress=notes, epochs=50, patience=2, validation=nothing)
    assert int(notes.last.split()[1]) < 20


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    first, second, other = (weights(learnt(tmp_path / str(i), seed=seed)) for i, seed in enumerate((0, 0, 1)))
    assert first == second
    assert first != other


@pytest.mark.parametrize("after", [0, 1, 2, 12, 13, 14, 15, 30, 70])
def test_a_run_stopped_anywhere_ends_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    whole = weights(learnt(tmp_path / "whole"))
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)  # after every step
    with pytest.raises(Killed):
        learnt(tmp_path / "stopped", progress=Killer.after(after))
    assert weights(learnt(tmp_path / "stopped")) == whole
    files = [path for path in (tmp_path / "stopped").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors"}


def test_a_checkpoint_of_other_work_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    learnt(tmp_path / "a", learning_rate=0.01)
    assert weights(learnt(tmp_path / "a")) == weights(learnt(tmp_path / "b"))


def test_augmenting_is_told_rows_and_epoch_and_changes_what_is_learnt_from(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    train = examples(40, 1)

    def turned(inputs: Batch, target: NDArray, rows: NDArray, epoch: int) -> tuple[Batch, NDArray]:
        assert target.shape == (len(rows), 2)
        assert np.array_equal(inputs["x"], np.asarray(train.inputs["x"])[rows])
        told.extend((epoch, row) for row in rows.tolist())
        return inputs, target[:, ::-1].copy()

    net = learnt(tmp_path, epochs=25, train=train, validation=examples(0, 2), augment=turned)
    assert sorted(told) == [(epoch, row) for epoch in range(1, 26) for row in range(40)]
    assert (logits(net, train).argmax(1) == train.target).mean() < 0.3


def test_what_needs_no_gradient_stays_as_it_was(tmp_path: Path) -> None:
    net = small()
    net.first.requires_grad_(False)
    before = net.first.weight.clone()
    learnt(tmp_path, net=net)
    assert torch.equal(net.first.weight, before)


def test_rows_on_the_disk_are_learnt_from_and_none_need_be_held_out(tmp_path: Path) -> None:
    part = examples(100, 1)
    train = Examples.write(tmp_path / "examples", [(part.inputs, part.target)])
    assert np.isfinite(logits(learnt(tmp_path, train=train, validation=examples(0, 2)), part)).all()


def test_a_last_batch_is_never_a_single_row(tmp_path: Path) -> None:
    """A net that is normed by what a batch holds could not learn from one."""
    learnt(tmp_path, train=examples(33, 1), batch_size=16)


def test_ragged_rows_are_refused() -> None:
    with pytest.raises(TypeError, match="rectangular"):
        tensors({"x": Ragged.of([[1], [2, 3]], np.float32)})


def test_a_diverging_run_says_what_to_change(tmp_path: Path) -> None:
    part = examples(40, 1)
    broken = Examples({"x": np.asarray(part.inputs["x"]) * np.float32("nan")}, part.target)
    with pytest.raises(RunFailed, match="smaller learning_rate"):
        learnt(tmp_path, train=broken)


def test_progress_counts_examples(tmp_path: Path) -> None:
    class Counter(Silent):
        total, done = 0.0, 0.0

        def start(self, what: str, total: float) -> None:
            self.total = total

        def advance(self, done: float, note: str = "") -> None:
            self.done += done

    counter = Counter()
    learnt(tmp_path, progress=counter)
    assert (counter.total, counter.done) == (1200, 1200)


def test_mixing_what_the_head_is_given_makes_answers_less_sure(tmp_path: Path) -> None:
    train, none = examples(200, 1), examples(0, 2)
    plain, mixed = (learnt(tmp_path / str(mixup), epochs=20, train=train, validation=none, mixup=mixup) for mixup in (0.0, 2.0))
    sure = [np.abs(np.diff(logits(net, train), axis=1)).mean() for net in (plain, mixed)]
    assert sure[1] < 0.8 * sure[0]
    assert (logits(mixed, train).argmax(1) == train.target).mean() > 0.9


def test_a_net_tells_how_much_it_multiplies(tmp_path: Path) -> None:
    """Three times, forward and back, two for each product of a layer of 3 x 12 and one of 12 x 2."""
    told: list[Any] = []
    fitting = Fitting(0, Silent(), tmp_path, tmp_path, tell=lambda name, point: told.append(point))
    learn_net(small(), Spec(2, "softmax"), examples(50, 1), examples(9, 2), Regime(epochs=1), fitting, "small")
    assert told[0].operations == 50 * 3 * 2 * (3 * 12 + 12 * 2)


def test_a_step_of_a_net_that_is_normed_by_batch_is_never_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    losses = nets._NetTrainee.losses
    monkeypatch.setattr(nets._NetTrainee, "losses", lambda self, rows, epoch: sizes.append(len(rows)) or losses(self, rows, epoch))
    learnt(tmp_path, batch_size=200, piece=64, epochs=2)
    assert sizes == [200, 200]


def test_computing_again_is_refused_where_a_batch_would_be_counted_twice(tmp_path: Path) -> None:
    net = small()
    net.blocks = nn.ModuleList([nn.Identity()])
    with pytest.raises(PlanError, match="Leave checkpointing out"):
        learnt(tmp_path, net=net, checkpointing=True)
