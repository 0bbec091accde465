"""One loop for every learner: it honours its regime, goes on after a kill, and ends with the best it has seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch

from penjing.core.allowance import Allowance
from penjing.core.errors import PlanError, RunFailed
from penjing.core.statistics import mean_loss
from penjing.core.types import NDArray
from penjing.training import loop
from penjing.training.loop import Judged
from penjing.training.regime import Regime

Descend = Callable[..., Any]


class Killed(Exception):
    pass


def dying(trainee: Any, after: int) -> Any:
    """Return `trainee`, which is killed when it is asked for losses for the time after `after`."""
    losses = trainee.losses

    def run(rows: NDArray, epoch: int) -> Any:
        if len(trainee.asked) == after:
            raise Killed
        return losses(rows, epoch)

    trainee.losses = run
    return trainee


def broken(trainee: Any, steps: set[int], value: float = math.nan) -> Any:
    """Return `trainee`, whose loss is no number the times that it is asked for those `steps`, counted from 0."""
    losses, times = trainee.losses, iter(range(10_000))

    def run(rows: NDArray, epoch: int) -> Any:
        return losses(rows, epoch) * (value if next(times) in steps else 1.0)

    trainee.losses = run
    return trainee


def test_it_learns_and_leaves_the_net_ready(descend: Descend) -> None:
    learnt = descend(epochs=60, learning_rate=0.1)
    assert learnt.judged[-1].quality > 0.9 > 0.7 > learnt.judged[0].quality
    assert not learnt.net.training


def test_every_row_is_learnt_from_once_an_epoch(descend: Descend) -> None:
    asked = descend(epochs=2).asked
    for epoch in (1, 2):
        assert sorted(np.concatenate([rows for at, rows in asked if at == epoch])) == list(range(120))


def test_the_epoch_with_the_least_validation_loss_is_kept_and_scaled(descend: Descend) -> None:
    learnt = descend(epochs=5, learning_rate=0.9, schedule="constant", warm_up=0.0)
    losses = [found.loss for found in learnt.judged]
    assert min(losses) < losses[-1]
    with torch.no_grad():
        logits = learnt.net(torch.from_numpy(learnt.held_x)).numpy()
    assert mean_loss(logits, learnt.held_target, "softmax") == pytest.approx(min(losses), abs=1e-5)


def test_a_beginning_that_learning_cannot_better_is_kept(descend: Descend, Tiny: Any) -> None:
    before = Tiny().weights
    learnt = descend(first=Judged(1.0, 0.0, 1.0))
    assert learnt.weights == before
    assert len(learnt.judged) == 4, "what is known is not asked again"


def test_without_validation_rows_the_last_epoch_is_kept(descend: Descend, Tiny: Any) -> None:
    assert descend(Tiny(held_out=0), folder="a").weights != descend(Tiny(held_out=0), folder="b", epochs=3).weights != Tiny().weights


def test_the_same_seed_ends_with_the_same_bits_and_another_one_with_others(descend: Descend) -> None:
    one, again, other = (descend(folder=str(i), fitting={"seed": seed}).weights for i, seed in enumerate((0, 0, 1)))
    assert one == again != other


def test_chance_outside_is_as_it_was(descend: Descend) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    descend()
    assert torch.equal(torch.rand(1), expected)


KINDS = [{"optimizer": name} for name in get_args(Regime.model_fields["optimizer"].annotation)]
KINDS += [{"average": "ema"}, {"average": "swa"}, {"schedule": "plateau"}, {"piece": 64, "batch_size": 100}]


@pytest.mark.parametrize("after", [0, 8, 13])
@pytest.mark.parametrize("regime", KINDS, ids=lambda regime: str(next(iter(regime.values()))))
def test_a_run_stopped_anywhere_ends_with_the_same_bits(
    descend: Descend, Tiny: Any, monkeypatch: pytest.MonkeyPatch, regime: dict[str, Any], after: int
) -> None:
    whole = descend(folder="whole", epochs=8 if "piece" in regime else 3, **regime).weights
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)  # after every step
    monkeypatch.setattr(loop, "_WRITING", math.inf)
    times = after % 16 if "piece" in regime else after % 24
    with pytest.raises(Killed):
        descend(dying(Tiny(), times), epochs=8 if "piece" in regime else 3, **regime)
    again = descend(epochs=8 if "piece" in regime else 3, **regime)
    assert again.weights == whole
    assert len(again.asked) <= (32 if "piece" in regime else 24) - times + 2


def test_channels_in_another_order_go_on_to_the_same_bits(descend: Descend, Tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fused optimizer goes over weights and moments side by side, as they lie in memory."""

    def pictured() -> Any:
        trainee = Tiny()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            first = torch.nn.Conv2d(3, 4, 3, padding=1).to(memory_format=torch.channels_last)
            trainee.net = torch.nn.Sequential(first, torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(64, 2))
        trainee.x, trainee.held_x = (np.tile(x[:, :, None, None], (1, 1, 4, 4)) for x in (trainee.x, trainee.held_x))
        return trainee

    whole = descend(pictured(), folder="whole", average="ema").weights
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loop, "_WRITING", math.inf)
    with pytest.raises(Killed):
        descend(dying(pictured(), 11), average="ema")
    assert descend(pictured(), average="ema").weights == whole


@pytest.mark.parametrize("average", ["none", "ema"])
def test_norms_by_batch_keep_what_they_have_counted(descend: Descend, Tiny: Any, average: str) -> None:
    trainee = Tiny()
    trainee.net.insert(1, torch.nn.BatchNorm1d(8))
    trainee.scale_output = lambda factor: None
    trainee.divisible = False
    descend(trainee, average=average, piece=64, batch_size=100, epochs=10)
    assert {len(rows) for _, rows in trainee.asked} == {60}
    assert trainee.net[1].running_mean.abs().max() > 0
    found = trainee.net(torch.from_numpy(trainee.held_x)).detach().numpy()
    assert mean_loss(found, trainee.held_target, "softmax") <= min(one.loss for one in trainee.judged) / 0.9


def test_checkpoints_take_a_small_share_of_the_time(descend: Descend, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    write = loop.State.write

    def slow(self: Any, *given: Any) -> None:
        from time import monotonic, sleep

        start = monotonic()
        sleep(0.02)
        write(self, *given)
        written.append(monotonic() - start)

    monkeypatch.setattr(loop.State, "write", slow)
    from time import monotonic

    start = monotonic()
    descend(epochs=60)
    assert len(written) >= 1
    assert sum(written[:-1]) <= 0.06 * (monotonic() - start) + 0.02


def test_short_learning_writes_nothing(descend: Descend, tmp_path: Any) -> None:
    descend()
    assert not list(tmp_path.rglob("*.safetensors"))


def test_what_has_ended_is_not_learnt_again(descend: Descend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "_WRITING", math.inf)
    first, again = descend(), descend()
    assert again.weights == first.weights
    assert not again.asked


def test_a_checkpoint_of_other_work_is_not_gone_on_with(descend: Descend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    descend(learning_rate=0.01)
    assert descend().weights == descend(folder="other").weights


def test_pieces_come_to_what_a_whole_step_comes_to(descend: Descend, Tiny: Any) -> None:
    whole, pieces = (descend(Tiny(dropout=0.0), folder=str(piece), batch_size=120, piece=piece, epochs=6) for piece in (8192, 64))
    assert {len(rows) for _, rows in whole.asked} == {120}
    assert {len(rows) for _, rows in pieces.asked} == {64, 56}
    assert pieces.judged[-1].loss == pytest.approx(whole.judged[-1].loss, abs=1e-4)


def test_a_piece_holds_as_many_tokens_as_it_may(descend: Descend, Tiny: Any) -> None:
    trainee = Tiny()
    trainee.sizes = np.random.default_rng(0).integers(1, 60, 120)
    trainee.sizes[5] = 500
    descend(trainee, batch_size=40, piece=100, epochs=1)
    tokens = [int(trainee.sizes[rows].sum()) for _, rows in trainee.asked]
    assert sorted(np.concatenate([rows for _, rows in trainee.asked])) == list(range(120))
    assert max(t for t in tokens if t < 500) <= 100
    assert [len(rows) for _, rows in trainee.asked if 5 in rows] == [1]


def test_a_gradient_is_no_longer_than_the_clip(descend: Descend, Tiny: Any) -> None:
    """One step of sgd at a step size of 1 moves the weights by the gradient itself."""

    def moved(**regime: Any) -> float:
        trainee = Tiny(dropout=0.0, held_out=0)
        before = [p.detach().clone() for p in trainee.net.parameters()]
        plain = {"optimizer": "sgd", "learning_rate": 1.0, "weight_decay": 0.0, "epochs": 1, "batch_size": 120, "schedule": "constant"}
        descend(trainee, folder=str(regime), **plain, **regime)
        return math.sqrt(sum(float(((p.detach() - b) ** 2).sum()) for p, b in zip(trainee.net.parameters(), before, strict=True)))

    free = moved(clip=0.0)
    assert free > 0.05
    assert moved(clip=1000.0) == pytest.approx(free, rel=1e-6)
    assert moved(clip=0.05) == pytest.approx(0.05, rel=1e-4)


def test_l1_draws_matrices_to_nothing_and_leaves_the_rest(descend: Descend, Tiny: Any) -> None:
    trainee = Tiny(dropout=0.0, held_out=0)
    with torch.no_grad():
        trainee.net[0].bias.fill_(0.5)
    trainee.x[:] = 0
    before = trainee.net[0].weight.detach().clone()
    plain = {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 0.0, "epochs": 1, "batch_size": 120, "schedule": "constant", "clip": 0.0}
    descend(trainee, l1=0.01, **plain)
    assert (before - trainee.net[0].weight.detach()).numpy() == pytest.approx(0.001 * np.sign(before.numpy()), abs=1e-6)


def test_plateau_halves_the_step_after_an_epoch_that_was_no_better(descend: Descend, told: Any) -> None:
    descend(first=Judged(1.0, 0.0, 1.0), schedule="plateau", warm_up=0.0)
    ends = [point.rate for point in told.points if point.validation_loss is not None]
    assert ends == pytest.approx([0.05, 0.025, 0.0125, 0.00625])


def test_plateau_without_validation_rows_is_refused(descend: Descend, Tiny: Any) -> None:
    with pytest.raises(PlanError, match="schedule: linear"):
        descend(Tiny(held_out=0), schedule="plateau")


def test_patience_ends_what_gains_nothing(descend: Descend) -> None:
    assert len(descend(first=Judged(1.0, 0.0, 1.0), epochs=9, patience=2).judged) == 2


def test_averages_are_what_is_judged_and_kept(descend: Descend, Tiny: Any) -> None:
    plain, ema, swa = (descend(Tiny(held_out=0), folder=how, average=how, learning_rate=0.5) for how in ("none", "ema", "swa"))
    assert len({plain.weights, ema.weights, swa.weights}) == 3
    assert plain.asked[-1][1].tolist() == swa.asked[-1][1].tolist()


def test_a_loss_that_is_no_number_takes_learning_back_to_the_best_epoch(descend: Descend, Tiny: Any, told: Any) -> None:
    learnt = descend(broken(Tiny(), {19}), epochs=6)
    assert len(told.said) == 1
    assert "loss of step 20 of 48 is no number" in told.said[0]
    assert "goes on from epoch 2 with half the step size, 0.025 at most" in told.said[0]
    assert [epoch for epoch, _ in learnt.asked] == [e for e in (1, 2) for _ in range(8)] + [3] * 4 + [e for e in (3, 4, 5, 6) for _ in range(8)]
    assert all(np.isfinite(p.detach().numpy()).all() for p in learnt.net.parameters())


@pytest.mark.parametrize("after", [3, 19, 20, 30])
def test_what_was_taken_back_and_then_killed_ends_with_the_same_bits(
    descend: Descend, Tiny: Any, told: Any, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    step, factors = loop._Learning._step, [1.0]
    monkeypatch.setattr(loop._Learning, "_step", lambda self, rows: factors.append(self.position.factor) or step(self, rows))

    def poisoned() -> Any:
        """A row of it cannot be learnt from at the full step size in the third epoch."""
        trainee = Tiny()
        losses = trainee.losses
        trainee.losses = lambda rows, epoch: losses(rows, epoch) * (math.nan if factors[-1] == 1 and epoch == 3 and 12 in rows else 1.0)
        return trainee

    whole = descend(poisoned(), folder="whole").weights
    assert "half the step size" in told.said[0]
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loop, "_WRITING", math.inf)
    with pytest.raises(Killed):
        descend(dying(poisoned(), after))
    assert descend(poisoned()).weights == whole


def test_an_infinite_gradient_never_reaches_the_weights(descend: Descend, Tiny: Any, told: Any) -> None:
    trainee, losses = Tiny(), None
    losses = trainee.losses

    def run(rows: NDArray, epoch: int) -> Any:
        found = losses(rows, epoch)
        if len(trainee.asked) == 12:
            trainee.net[3].bias.register_hook(lambda grad: grad * math.inf)
        return found

    trainee.losses = run
    with pytest.raises(RunFailed, match="gradient of step"):
        descend(trainee)
    assert len(told.said) == 2
    assert all(np.isfinite(p.detach().numpy()).all() for p in trainee.net.parameters())


def test_what_diverges_three_times_says_what_to_change(descend: Descend, Tiny: Any, told: Any) -> None:
    with pytest.raises(RunFailed, match="smaller learning_rate"):
        descend(broken(Tiny(), {10, 15, 20}))
    assert len(told.said) == 2


def test_what_cannot_begin_is_not_tried_again(descend: Descend, Tiny: Any, told: Any) -> None:
    with pytest.raises(RunFailed, match=r"cannot begin.*inputs or targets"):
        descend(broken(Tiny(), {0}))
    assert not told.said


def test_a_validation_loss_that_is_no_number_counts_as_diverged(descend: Descend, Tiny: Any, told: Any) -> None:
    trainee, found = Tiny(), iter([Judged(1.0, 0.9, 0.5), Judged(1.0, 0.8, 0.5), Judged(1.0, math.inf, 0.0)])
    validated = trainee.validated
    trainee.validated = lambda: next(found, None) or validated()
    descend(trainee, epochs=3)
    assert "validation loss after epoch 2 is no number" in told.said[0]


def test_a_spent_allowance_ends_learning_with_the_best_so_far(descend: Descend, told: Any) -> None:
    left = iter([None] * 10 + ["its time (1 s) is used up"] * 9)

    class Spent:
        gain_per_watt_hour, seconds, joules = 0.0, math.inf, math.inf

        def spent(self) -> str | None:
            return next(left)

        def drawn(self) -> float:
            return 0.0

    learnt = descend(fitting={"allowance": Spent()}, epochs=9)
    assert len(learnt.asked) == 11
    assert len(learnt.judged) == 3
    assert told.said == ["Learning stopped in epoch 2 of 9: its time (1 s) is used up. The best so far is kept."]
    assert learnt.judged[-1].loss < learnt.judged[0].loss
    with torch.no_grad():
        logits = learnt.net(torch.from_numpy(learnt.held_x)).numpy()
    assert mean_loss(logits, learnt.held_target, "softmax") == pytest.approx(min(found.loss for found in learnt.judged), abs=1e-5)


def test_learning_stops_once_it_gains_too_little_for_its_energy(descend: Descend, told: Any) -> None:
    drawn = iter(range(0, 100_000, 36))  # a hundredth of a watt-hour each time it is asked
    stopped = descend(folder="a", epochs=30, fitting={"allowance": Allowance(gain_per_watt_hour=1e9, drawn=lambda: float(next(drawn)))})
    assert len(stopped.judged) == 2
    assert "of quality for" in told.said[0]
    assert "stopped in epoch 1 of 30" in told.said[0]
    free = descend(folder="b", epochs=5, fitting={"allowance": Allowance(gain_per_watt_hour=1e9)})
    assert len(free.judged) == 6, "what draws nothing that can be measured goes on"


def test_points_tell_where_learning_is(descend: Descend, told: Any, Tiny: Any) -> None:
    trainee = Tiny()
    trainee.sizes = np.full(120, 5)
    drawn = iter(range(1000))
    learnt = descend(trainee, fitting={"allowance": Allowance(drawn=lambda: float(next(drawn)))})
    assert [(point.step, point.epoch) for point in told.points] == [(8, 1.0), (16, 2.0), (24, 3.0), (32, 4.0)]
    for point, found in zip(told.points, learnt.judged[1:], strict=True):
        assert (point.examples, point.tokens, point.operations) == (120, 600, 6000.0)
        assert (point.validation_loss, point.quality) == (found.loss, found.quality)
        assert 0.2 < point.loss < 1.0
    assert told.points[0].rate > told.points[-1].rate > 0
    assert all(a.seconds < b.seconds and a.joules < b.joules for a, b in zip(told.points, told.points[1:], strict=False))


def test_points_come_about_once_a_second_too(descend: Descend, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_TELL_SECONDS", 0.0)
    descend(epochs=1)
    assert [point.step for point in told.points] == [*range(1, 9), 8]
    assert [point.validation_loss is None for point in told.points] == [True] * 8 + [False]


def test_seconds_before_a_kill_count(descend: Descend, Tiny: Any, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loop, "_WRITING", math.inf)
    with pytest.raises(Killed):
        descend(dying(Tiny(), 20), fitting={"allowance": Allowance(drawn=lambda: 7.0)})
    before = told.points[-1]
    told.points.clear()
    descend(fitting={"allowance": Allowance(drawn=lambda: 1.0)})
    assert told.points[0].seconds > before.seconds
    assert told.points[0].joules == 8.0


def test_what_needs_no_gradient_stays_as_it_was(descend: Descend, Tiny: Any) -> None:
    trainee = Tiny()
    trainee.net[0].requires_grad_(False)
    before = trainee.net[0].weight.clone()
    descend(trainee, average="swa", l1=0.01)
    assert torch.equal(trainee.net[0].weight, before)
