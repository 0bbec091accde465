"""The loop by which every torch learner descends, to the epoch with the least validation loss, once calibrated.

The order of data is a function of (seed, epoch), chance one of (seed, epoch, step, worker, piece) and the step size one of the step: so a run
that is killed and started again ends with the same bits, as long as no allowance ends it. Knows no rows, no plugin and no kind of net.

A loss that is no number takes learning back to the best epoch so far, which is the same one whenever the run is repeated, with half the step.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from penjing.core.curve import Point
from penjing.core.errors import PlanError, RunFailed
from penjing.core.files import digest
from penjing.core.machine import give_back
from penjing.core.protocols import Fitting
from penjing.core.types import NDArray
from penjing.training import optimizers, schedules
from penjing.training.averages import Average
from penjing.training.batches import epoch_batches, pieces
from penjing.training.checkpoints import Position, State, learnt_of
from penjing.training.peak import peak
from penjing.training.precision import chosen
from penjing.training.regime import Regime
from penjing.training.trainee import Judged, Trainee, judged

__all__ = ["Judged", "Trainee", "judged", "learn"]

CHECKPOINT_SECONDS = 30.0
"""Work that a kill can cost at most, beside that of one step."""
_WRITING = 0.04
"""Share of the time that may go into checkpoints, at most: where writing one takes long, there are fewer."""
_TELL_SECONDS = 1.0
_GIVE_BACK_SECONDS = 8.0
"""Texts are of all lengths, and so are the blocks of memory that steps free: what lies unused between them is a tenth after a minute. Giving it
back takes some 40 ms.
"""
_PEAK_SECONDS = 5.0
_ROLLBACKS = 2
_JOULES_A_WATT_HOUR = 3600.0


def learn(trainee: Trainee, regime: Regime, fitting: Fitting, fingerprint: str, name: str = "learning", first: Judged | None = None) -> float:
    """Learn `trainee` in place, and return the least validation loss.

    Leaves its net in eval mode, at its best epoch, its logits as loud as the validation rows bear out.

    fingerprint: of all that the result depends on beside regime and seed. name: of the curve, and of the folder of its checkpoints. first: the
    judgement of the net as it begins, where it is known. Raises RunFailed where learning diverges, PlanError for what these workers, or no
    validation rows, cannot do.
    """
    if not trainee.divisible and fitting.workers.count > 1:
        raise PlanError("A net that is normed by what a batch holds cannot be learnt by several workers. Leave distributed out for this tier.")
    with torch.random.fork_rng(devices=[]):
        return _Learning(trainee, regime, fitting, fingerprint, name).run(first)


@dataclass
class _Since:
    """What was learnt from since the last point of the curve."""

    loss: float = 0.0
    rows: int = 0
    tokens: int = 0
    at: float = 0.0


class _Diverged(Exception):
    """A loss, or a gradient, is no number; the message says which."""


class _Learning:
    """One learning of `trainee`."""

    def __init__(self, trainee: Trainee, regime: Regime, fitting: Fitting, fingerprint: str, name: str) -> None:
        self.trainee, self.regime, self.fitting, self.name = trainee, regime, fitting, name
        self.net, self.alone = trainee.net, fitting.workers.count == 1
        self.parameters = [p for p in self.net.parameters() if p.requires_grad]
        self.device = self.parameters[0].device if self.parameters else None
        self.matrices = [p for p in self.parameters if p.ndim >= 2]
        self.state = State(self.net, optimizers.made(self.parameters, regime), Average(learnt_of(self.net), regime))
        self.position = Position(_fingerprint(fingerprint, regime, fitting.seed))
        self.folder = fitting.checkpoints / name.replace(" ", "-")
        self.steps = max(1, -(-trainee.count // regime.batch_size))
        self.rate, self.why = 0.0, ""
        self.began = self.saved = self.tidied = time.monotonic()
        self.since = _Since(at=self.began)
        self.writing, self.past_seconds, self.past_joules = 0.0, 0.0, 0.0

    def run(self, first: Judged | None) -> float:
        """Learn the epochs that are left, put the best weights in place, and return their validation loss."""
        at, progress = self._begun(first), self.fitting.progress
        progress.start(self.name, self.trainee.count * self.regime.epochs)
        progress.advance(self._rows_done())
        while at.epoch <= self.regime.epochs and not at.ended:
            try:
                self._epoch()
            except _Diverged as error:
                self._roll_back(str(error))
        progress.finish()
        if self.why:
            progress.say(f"{self.name.capitalize()} stopped in epoch {at.epoch} of {self.regime.epochs}: {self.why}. The best so far is kept.")
        self._checkpoint(at_end=True)
        self.state.take_best()
        self.net.eval()
        with torch.no_grad():
            self.trainee.scale_output(at.best_scale)
        self.fitting.workers.wait()
        return at.best_loss

    def _begun(self, first: Judged | None) -> Position:
        """Go back to where a killed run was, or keep the net as it is as the one to beat."""
        position = self.state.read(self.folder, self.position.fingerprint, self.fitting.progress.say)
        if position is not None:
            self.position = position
        else:
            self.fitting.workers.copy(list(self.state.weights.values()))
            self._take(self._validated() if first is None else self._agreed(first))
            if math.isnan(self.position.best_loss) and self.regime.schedule == "plateau":
                raise PlanError("schedule: plateau goes by the validation rows, and there are none. Set schedule: linear, or hold out some rows.")
        self.past_seconds, self.past_joules = self.position.seconds, self.position.joules
        self.fitting.workers.wait()
        return self.position

    def _epoch(self) -> None:
        """Learn what is left of the epoch, and judge it. Raises _Diverged."""
        at = self.position
        batches = epoch_batches(self.trainee.sizes, self.regime.batch_size, self.fitting.seed, at.epoch)
        done = sum(len(rows) for rows in batches[: at.step])
        self.net.train()
        for rows in batches[at.step :]:
            loss = self._step(rows)
            at.step, at.losses, done = at.step + 1, at.losses + loss * len(rows), done + len(rows)
            self._told(loss, rows)
            self.fitting.progress.advance(len(rows), f"epoch {at.epoch} of at most {self.regime.epochs}, loss {at.losses / done:.3f}")
            if at.ended:
                break
            self._checkpoint()
        self._judge()
        at.epoch, at.step, at.losses, at.epoch_joules = at.epoch + (not at.ended), 0, 0.0, self._joules()
        self._checkpoint()

    def _step(self, rows: NDArray) -> float:
        """Learn from the batch `rows`, with all workers, and return its loss. Raises _Diverged, before any weight is changed by it."""
        at, regime, optimizer = self.position, self.regime, self.state.optimizer
        step, steps = (at.epoch - 1) * self.steps + at.step, regime.epochs * self.steps
        optimizer.zero_grad(set_to_none=True)
        loss = self._back(rows)
        length = self._regularised()
        if not (math.isfinite(loss) and math.isfinite(length)):
            raise _Diverged(f"the {'gradient' if math.isfinite(loss) else 'loss'} of step {step + 1} of {steps} is no number")
        self.rate = schedules.rate(regime, step, steps) * at.factor
        for group in optimizer.param_groups:
            group["lr"] = self.rate
        optimizer.step()
        self.state.average.add(step, steps)
        return loss

    def _back(self, rows: NDArray) -> float:
        """Fill in the gradients of the mean loss of `rows`, piece by piece, summed over the workers, and return that loss."""
        at, workers = self.position, self.fitting.workers
        told = torch.zeros(2, device=self.device)  # the loss, and how many workers have spent their allowance
        for number, piece in enumerate(self._pieces(workers.share(rows))):
            _seed(self.fitting.seed, at.epoch, at.step, workers.rank, number)
            loss = self.trainee.losses(piece, at.epoch).sum() / len(rows)
            loss.backward()
            told[0] += loss.detach()
        spent = self.fitting.allowance.spent()
        told[1] = spent is not None
        if not self.alone:
            for parameter in self.parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            workers.add([*self._gradient(), told])
        value, spenders = told.tolist()
        if spenders:
            at.ended, self.why = True, spent or "the allowance of another worker is used up"
        return float(value)

    def _regularised(self) -> float:
        """Add what l1 asks for to the gradients, and clip them. Return how long they were, 0 where nothing is clipped."""
        moved = [p for p in self.matrices if p.grad is not None] if self.regime.l1 else []
        if moved:
            torch._foreach_add_([p.grad for p in moved], torch._foreach_sign([p.detach() for p in moved]), alpha=self.regime.l1)
        gradient = self._gradient()
        if not (self.regime.clip and gradient):
            return 0.0
        length = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradient))))
        if length > self.regime.clip:
            torch._foreach_mul_(gradient, self.regime.clip / length)
        return length

    def _gradient(self) -> list[Any]:
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def _pieces(self, rows: NDArray) -> list[NDArray]:
        """Return `rows` in pieces that go through at once."""
        if not len(rows):
            return []
        sizes = self.trainee.sizes[rows]
        if not self.trainee.divisible or sizes.sum() <= self.regime.piece:
            return [rows]
        return [rows[places] for places in pieces(sizes, self.regime.piece)]

    def _validated(self) -> Judged:
        self.net.eval()
        with torch.no_grad(), self.state.average.in_place():
            return self._agreed(self.trainee.validated())

    def _agreed(self, found: Judged) -> Judged:
        """Return what the first worker has found: all must decide alike, to the last bit."""
        told = torch.tensor([found.scale, found.loss, found.quality], dtype=torch.float64, device=self.device)
        self.fitting.workers.copy([told])
        return Judged(*told.tolist())

    def _take(self, found: Judged, epoch: int = 0) -> None:
        """Keep the net, or the average of its weights, as the best."""
        with self.state.average.in_place():
            self.state.keep_best()
        at = self.position
        at.best_epoch, at.best_loss, at.best_scale = epoch, found.loss, found.scale
        at.best_quality = float(np.fmax(at.best_quality, found.quality))

    def _judge(self) -> None:
        """Judge the net after an epoch (or a part of one, where learning ends), keep it if it is the best, and decide whether to go on."""
        at, found = self.position, self._validated()
        if math.isinf(found.loss):
            raise _Diverged(f"the validation loss after epoch {at.epoch} is no number")
        before, better = at.best_quality, math.isnan(found.loss) or found.loss < at.best_loss
        self._point(found)
        if better:
            self._take(found, at.epoch)
        at.best_quality = float(np.fmax(at.best_quality, found.quality))
        if self.regime.schedule == "plateau" and not better:
            at.factor *= schedules.HALF
        if not better and at.epoch - at.best_epoch >= self.regime.patience:
            at.ended = True
        self._heed_gain(found.quality - before)

    def _heed_gain(self, gained: float) -> None:
        """End learning once an epoch has gained less quality than its energy must bring, all workers alike."""
        asked, watt_hours = self.fitting.allowance.gain_per_watt_hour, (self._joules() - self.position.epoch_joules) / _JOULES_A_WATT_HOUR
        if not asked:
            return
        poor = torch.tensor([float(watt_hours > 0 and gained < asked * watt_hours)])
        self.fitting.workers.add([poor])
        if poor.item() and not self.position.ended and self.position.epoch < self.regime.epochs:
            self.position.ended = True
            gain = f"the last epoch gained {gained:.4f} of quality for {watt_hours:.3g} Wh"
            self.why = self.fitting.allowance.stopped = f"{gain}, and {asked:g} a Wh was asked for"

    def _roll_back(self, what: str) -> None:
        """Go back to the best epoch with half the step. Raises RunFailed after the second time, and where it would not help."""
        at, rate = self.position, self.regime.learning_rate * self.position.factor
        if at.best_epoch == 0 and (at.epoch, at.step) == (1, 0):
            raise RunFailed(
                f"{self.name.capitalize()} cannot begin: {what}. Look for inputs or targets that are no numbers, or huge; "
                "where there are none, set a smaller learning_rate or precision: f32 for this tier."
            )
        if at.rollbacks == _ROLLBACKS:
            raise RunFailed(
                f"{self.name.capitalize()} diverged: {what}, at a step size of {rate:.2g} too. Set a smaller learning_rate for this tier."
            )
        self.fitting.progress.say(
            f"{self.name.capitalize()}: {what}. It goes on from {f'epoch {at.best_epoch}' if at.best_epoch else 'its beginning'} "
            f"with half the step size, {rate * schedules.HALF:.2g} at most."
        )
        self.state.take_best()
        before = self._rows_done()
        at.epoch, at.step, at.losses = at.best_epoch + 1, 0, 0.0
        self.fitting.progress.advance(self._rows_done() - before)
        at.factor, at.rollbacks, self.since = at.factor * schedules.HALF, at.rollbacks + 1, _Since(at=time.monotonic())

    def _told(self, loss: float, rows: NDArray) -> None:
        since = self.since
        since.loss, since.rows = since.loss + loss * len(rows), since.rows + len(rows)
        since.tokens += int(self.trainee.sizes[rows].sum())
        now = time.monotonic()
        if now - since.at > _TELL_SECONDS:
            self._point()
        if now - self.tidied > _GIVE_BACK_SECONDS:
            give_back()
            self.tidied = now

    def _point(self, found: Judged | None = None) -> None:
        """Tell where learning is."""
        at, since, epoch = self.position, self.since, self.position.epoch - 1 + self.position.step / self.steps
        known = found is not None and not math.isnan(found.loss)
        point = Point(
            (at.epoch - 1) * self.steps + at.step,
            epoch,
            self._seconds(),
            since.loss / since.rows if since.rows else math.nan,
            self.rate,
            since.rows,
            since.tokens,
            since.tokens * self.trainee.operations,
            found.loss if found is not None and known else None,
            found.quality if found is not None and known else None,
            self._joules(),
            self.regime.epochs * self.steps,
            self.regime.epochs,
            self._peak(),
        )
        self.fitting.tell(self.name, point)
        self.since = _Since(at=time.monotonic())

    def _rows_done(self) -> int:
        at, count = self.position, self.trainee.count
        return count * (at.epoch - 1) + count * at.step // self.steps

    def _seconds(self) -> float:
        return self.past_seconds + time.monotonic() - self.began

    def _peak(self) -> float:
        """Return what the machine does at most, once learning is long enough for a measurement of it not to matter."""
        return peak(chosen(self.regime.precision)) if self.trainee.operations and self._seconds() > _PEAK_SECONDS else 0.0

    def _joules(self) -> float:
        return self.past_joules + self.fitting.allowance.drawn()

    def _checkpoint(self, at_end: bool = False) -> None:
        """Write the state where it is time to. At the end only where learning took so long that a kill after it would hurt."""
        now, due = time.monotonic(), max(CHECKPOINT_SECONDS, self.writing / _WRITING)
        if now - (self.began if at_end else self.saved) <= due or self.fitting.workers.rank:
            return
        self.position.seconds, self.position.joules = self._seconds(), self._joules()
        self.state.write(self.folder, self.position)
        self.saved = time.monotonic()
        self.writing = self.saved - now


def _fingerprint(given: str, regime: Regime, seed: int) -> str:
    return digest([given, regime.model_dump(mode="json", include=set(Regime.model_fields)), seed, torch.__version__])


def _seed(*numbers: int) -> None:
    """Set what nets draw at chance to a function of `numbers`."""
    seed = int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest())
    # torch.manual_seed takes a hundred times as long: it notes the call for devices that may never be used.
    (torch.manual_seed if torch.cuda.is_initialized() else torch.default_generator.manual_seed)(seed)
