"""Learning of small nets over rectangular arrays: AdamW, to the epoch with the least validation loss, once calibrated.

The order of data is a function of (seed, epoch), chance within a step (dropout) one of (seed, epoch, step), and what `augment` draws must be
one of (row, epoch): so a run that is killed and started again ends with the same bits. Knows no plugin, no rows and no export.

Shapes: B examples of a batch, N of all, W width of the output.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.files import digest
from penjing.core.protocols import Fitting
from penjing.core.statistics import mean_loss
from penjing.core.types import Batch, NDArray, Ragged, Spec
from penjing.training import checkpoints
from penjing.training.checkpoints import Position
from penjing.training.descent import adamw, loss_of, slope
from penjing.training.losses import scaled
from penjing.training.precision import products

CHECKPOINT_SECONDS = 30.0
"""Work that a kill can cost at most, beside that of one step."""
_CLIP = 1.0
_BLOCK = 8192

Augment = Callable[[Batch, NDArray, NDArray, int], tuple[Batch, NDArray]]
"""(inputs, target, numbers of the examples (B,), epoch) → inputs and target, changed; of training examples only.

The target is (B, W) float32: shares of the classes for softmax.
"""


class Net(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """A batch of tensors → logits (B, W), by named steps. A class below penjing.training, so that what was saved can be made again."""

    def __init__(self, **config: Any) -> None:
        """Take the arguments, JSON, that the class is made with again."""
        super().__init__()
        self.config = config

    def steps(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield the name and the values, (B, …), of every step; the last is the logits, "head". No step has the name of an array."""
        raise NotImplementedError

    def scale_output(self, factor: float) -> None:
        """Make the logits `factor` times what they were, for good."""
        raise NotImplementedError

    def forward(self, batch: Mapping[str, Any]) -> Any:
        """Return (B, W)."""
        for _, values in self.steps(batch):
            logits_BW = values
        return logits_BW


@dataclass(frozen=True, slots=True)
class NetSchedule:
    epochs: int
    """At most."""
    learning_rate: float
    """The highest."""
    batch_size: int
    weight_decay: float
    """Of matrices."""
    precision: str
    """ "f32" or "bf16"."""
    seed: int
    patience: int
    """Epochs without a better validation loss after which learning stops."""


def learn_net(
    net: Net,
    spec: Spec,
    examples: Examples,
    validation: Examples,
    schedule: NetSchedule,
    fitting: Fitting,
    fingerprint: str,
    augment: Augment | None = None,
) -> None:
    """Learn `net` in place. Leaves it in eval mode, at its best epoch, its logits as loud as the validation rows bear out.

    fingerprint: of all that the result depends on beside schedule and examples: how the net begins, and what augments.
    Parameters that need no gradient stay as they are. Raises RunFailed where learning diverges.
    """
    _Learning(net, spec, examples, validation, schedule, fitting, fingerprint, augment).run()


class _Learning:
    """One learning of `net`."""

    def __init__(
        self,
        net: Net,
        spec: Spec,
        examples: Examples,
        validation: Examples,
        schedule: NetSchedule,
        fitting: Fitting,
        fingerprint: str,
        augment: Augment | None,
    ) -> None:
        self.net, self.spec, self.examples, self.validation = net, spec, examples, validation
        self.schedule, self.fitting, self.augment = schedule, fitting, augment
        self.optimizer = adamw(net, schedule.learning_rate, schedule.weight_decay)
        whole = [fingerprint, asdict(schedule), fingerprint_of(examples), fingerprint_of(validation), torch.__version__, augment is not None]
        self.position = Position(digest(whole))
        self.best: dict[str, Any] = {}
        self._saved_at = time.monotonic()

    def run(self) -> None:
        n, at = len(self.examples), self._begun()
        steps = self._steps_an_epoch
        self.fitting.progress.start("learning", n * self.schedule.epochs)
        self.fitting.progress.advance(n * (at.epoch - 1) + n * at.step // steps)
        with torch.random.fork_rng(devices=[]):
            while at.epoch <= self.schedule.epochs and not self._waited_enough:
                self._epoch()
        self.fitting.progress.finish()
        self.net.load_state_dict(self.best)
        self.net.eval()
        with torch.no_grad():
            self.net.scale_output(at.best_scale)

    def _begun(self) -> Position:
        """Go back to where a killed run was, or keep the net as it is as the one to beat."""
        folder = self.fitting.checkpoints
        position = checkpoints.read(folder, self.net, self.optimizer, self.position.fingerprint)
        if position is not None:
            self.position, self.best = position, checkpoints.read_best(folder, position.best_epoch)
        else:
            self._keep_best(0, *self._validated())
        return self.position

    @property
    def _steps_an_epoch(self) -> int:
        return math.ceil(len(self.examples) / self.schedule.batch_size)

    @property
    def _waited_enough(self) -> bool:
        at = self.position
        return bool(len(self.validation)) and at.epoch - 1 - at.best_epoch >= self.schedule.patience

    def _epoch(self) -> None:
        at, n, steps = self.position, len(self.examples), self._steps_an_epoch
        order = np.random.default_rng([self.schedule.seed, at.epoch]).permutation(n)
        batches = np.array_split(order, steps)  # alike in size: a last batch of one row has no spread that a net could normalise by
        self.net.train()
        done = sum(len(rows) for rows in batches[: at.step])
        for rows in batches[at.step :]:
            loss = self._step(rows, (at.epoch - 1) * steps + at.step, self.schedule.epochs * steps)
            at.step += 1
            at.losses += loss * len(rows)
            done += len(rows)
            if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
                self._checkpoint()
            self.fitting.progress.advance(len(rows), f"epoch {at.epoch} of at most {self.schedule.epochs}, loss {at.losses / done:.3f}")
        scale, loss = self._validated()
        if not len(self.validation) or loss < at.best_loss:
            self._keep_best(at.epoch, scale, loss)
        at.epoch, at.step, at.losses = at.epoch + 1, 0, 0.0
        if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self._checkpoint()

    def _step(self, rows: NDArray, step: int, steps: int) -> float:
        """Learn from one batch and return its loss."""
        inputs, target = self._drawn(rows)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate * slope(step, steps)
        with products(self.schedule.precision):
            logits_BW = self.net(tensors(inputs))
        weight_B = None if self.examples.weight is None else torch.from_numpy(self.examples.weights(rows))
        loss = loss_of(logits_BW.float(), torch.from_numpy(target), self.spec.link, weight_B)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in self.net.parameters() if p.requires_grad], _CLIP)
        self.optimizer.step()
        value = float(loss.item())
        if not math.isfinite(value):
            raise RunFailed(f"Learning diverged in step {step + 1} of {steps}: the loss is {value}. Set a smaller learning_rate for this tier.")
        return value

    def _drawn(self, rows: NDArray) -> tuple[Batch, NDArray]:
        """Return inputs and target of the examples at `rows`, augmented, and set what the net draws at chance to what this step draws."""
        at = self.position
        torch.manual_seed(int(np.random.SeedSequence([self.schedule.seed, at.epoch, at.step]).generate_state(1)[0]))
        inputs, target = self.examples.batch(rows)
        if self.augment is None:
            return inputs, target
        if target.ndim == 1:
            target = np.eye(self.spec.width, dtype=np.float32)[target]
        return self.augment(inputs, target, rows, at.epoch)

    def _validated(self) -> tuple[float, float]:
        """Return the scale of the logits, up to 1, that suits the validation rows best, and their mean loss at it; 1 and NaN without any.

        At their own scale an epoch that is right more often would lose to one before it for being too sure, which is put right by a number.
        """
        count = len(self.validation)
        if not count:
            return 1.0, float("nan")
        self.net.eval()
        found_NW = np.empty((count, self.spec.width), np.float32)
        for start in range(0, count, self.schedule.batch_size):
            rows = np.arange(start, min(start + self.schedule.batch_size, count))
            with torch.inference_mode(), products(self.schedule.precision):
                found_NW[rows] = self.net(tensors(self.validation.batch(rows)[0])).float().numpy()
        target, link = np.asarray(self.validation.target), self.spec.link
        if link == "identity":
            return 1.0, mean_loss(found_NW, target, link)
        # Never louder: where few validation rows are all right, no loudness would be enough.
        return scaled(found_NW, np.zeros(self.spec.width), target, link, most=1.0)

    def _keep_best(self, epoch: int, scale: float, loss: float) -> None:
        self.best = {name: tensor.detach().clone() for name, tensor in self.net.state_dict().items()}
        self.position.best_epoch, self.position.best_loss, self.position.best_scale = epoch, loss, scale

    def _checkpoint(self) -> None:
        checkpoints.write_best(self.fitting.checkpoints, self.best, self.position.best_epoch)
        checkpoints.write(self.fitting.checkpoints, self.net, self.optimizer, self.position)
        self._saved_at = time.monotonic()


def tensors(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return `arrays` as torch sees them. Raises TypeError for a ragged one."""
    for name, array in arrays.items():
        if isinstance(array, Ragged):
            raise TypeError(f"{name!r} is ragged, and a net takes rectangular arrays only.")
    # A mapped file is read-only, which torch warns of.
    return {name: torch.from_numpy(np.require(array, requirements=["C", "W"])) for name, array in arrays.items()}


def fingerprint_of(examples: Examples) -> str:
    """Return a digest of what can be learnt from `examples`."""
    told = hashlib.sha256()
    for name, array in sorted({**examples.inputs, "target": examples.target, "weight": examples.weight}.items()):
        if isinstance(array, np.ndarray):
            told.update(f"{name} {array.dtype} {array.shape}".encode())
            for start in range(0, len(array), _BLOCK):
                told.update(np.ascontiguousarray(array[start : start + _BLOCK]).tobytes())
    return told.hexdigest()
