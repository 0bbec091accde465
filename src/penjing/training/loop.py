"""Fine-tuning: AdamW over everything, from a head already learnt, to the epoch with the least validation loss, once calibrated.

The order of data is a function of (seed, epoch) and the step size one of the step, and nothing else is random (there is no dropout), so a
run that is killed and started again ends with the same bits. Knows no plugin, no rows and no export.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from penjing.core.batching import rectangle, run_in_rectangles, token_ids
from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.protocols import Progress
from penjing.core.statistics import mean_loss
from penjing.core.types import NDArray
from penjing.training import checkpoints
from penjing.training.batches import epoch_batches
from penjing.training.checkpoints import Position
from penjing.training.descent import adamw, loss_of, slope
from penjing.training.encoder import Encoder
from penjing.training.losses import scaled
from penjing.training.precision import products

CHECKPOINT_SECONDS = 30.0
"""Work that a kill can cost at most, beside that of one step."""
_WEIGHT_DECAY = 0.01
"""Of matrices."""
_CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Schedule:
    epochs: int
    learning_rate: float
    batch_size: int
    precision: str
    """ "f32" or "bf16"."""
    seed: int


class FineTuning:
    """One fine-tuning of `encoder`, in place. `folder` keeps its checkpoints; `fingerprint` names all that the result depends on."""

    def __init__(
        self, encoder: Encoder, examples: Examples, validation: Examples, schedule: Schedule, folder: Path, fingerprint: str, progress: Progress
    ) -> None:
        self.encoder, self.examples, self.validation, self.schedule = encoder, examples, validation, schedule
        self.folder, self.progress = folder, progress
        self.optimizer = adamw(encoder, schedule.learning_rate, _WEIGHT_DECAY)
        self.position = Position(fingerprint)
        self._saved_at = time.monotonic()

    def resume(self) -> bool:
        """Go back to where an interrupted run was; return whether there was one."""
        position = checkpoints.read(self.folder, self.encoder, self.optimizer, self.position.fingerprint)
        self.position = position or self.position
        return position is not None

    def begin(self, head_loss: float) -> None:
        """Keep the encoder as it is, a head alone with `head_loss` on validation rows, as the one to beat."""
        self._keep_best(0, head_loss, 1.0)
        self._checkpoint()

    def run(self) -> None:
        """Learn the epochs that are left, and put the best weights into the encoder. Raises RunFailed where learning diverges."""
        n, at = len(self.examples), self.position
        self.progress.start("fine-tuning", n * self.schedule.epochs)
        self.progress.advance(min(n, at.step * self.schedule.batch_size) + n * (at.epoch - 1))
        while at.epoch <= self.schedule.epochs:
            self._epoch()
        self.progress.finish()
        self.encoder.load_state_dict(checkpoints.read_best(self.folder, at.best_epoch))
        with torch.no_grad():
            for part in (self.encoder.head.weight, self.encoder.head.bias):
                part.mul_(at.best_scale)

    def _epoch(self) -> None:
        at = self.position
        batches = epoch_batches(token_ids(self.examples.inputs).lengths, self.schedule.batch_size, self.schedule.seed, at.epoch)
        for rows in batches[at.step :]:
            loss = self._step(rows, (at.epoch - 1) * len(batches) + at.step, self.schedule.epochs * len(batches))
            at.step += 1
            at.losses += loss * len(rows)
            if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
                self._checkpoint()
            done = min(len(self.examples), at.step * self.schedule.batch_size)
            self.progress.advance(len(rows), f"epoch {at.epoch} of {self.schedule.epochs}, loss {at.losses / done:.3f}")
        scale, loss = self._validated()
        if not len(self.validation) or loss < at.best_loss:
            self._keep_best(at.epoch, loss, scale)
        at.epoch, at.step, at.losses = at.epoch + 1, 0, 0.0
        self._checkpoint()

    def _step(self, rows: NDArray, step: int, steps: int) -> float:
        """Learn from one batch and return its loss."""
        inputs, target = self.examples.batch(rows)
        ids_BT, mask_BT = rectangle(token_ids(inputs), self.encoder.pad)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate * slope(step, steps)
        with products(self.schedule.precision):
            pooled_BH = self.encoder.pooled(torch.from_numpy(ids_BT), torch.from_numpy(mask_BT))
        weight = None if self.examples.weight is None else torch.from_numpy(self.examples.weights(rows))
        loss = loss_of(self.encoder.head(pooled_BH), torch.from_numpy(target), self.encoder.spec.link, weight)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), _CLIP)
        self.optimizer.step()
        value = float(loss.item())
        if not math.isfinite(value):
            raise RunFailed(f"Fine-tuning diverged in step {step + 1} of {steps}: its loss is {value}. Set a smaller learning_rate for this tier.")
        return value

    def _validated(self) -> tuple[float, float]:
        """Return the scale of the logits, up to 1, that suits the validation rows best, and their mean loss at it; 1 and NaN without any.

        At their own scale an epoch that is right more often would lose to one before it for being too sure, which is put right by a number.
        """
        if not len(self.validation):
            return 1.0, float("nan")

        def logits(ids_BT: NDArray, mask_BT: NDArray) -> NDArray:
            with torch.inference_mode():
                with products(self.schedule.precision):
                    pooled_BH = self.encoder.pooled(torch.from_numpy(ids_BT), torch.from_numpy(mask_BT))
                result: NDArray = self.encoder.head(pooled_BH).numpy()
            return result

        found = run_in_rectangles(token_ids(self.validation.inputs), self.encoder.spec.width, self.encoder.pad, logits)
        target, link = self.validation.target, self.encoder.spec.link
        if link == "identity":
            return 1.0, mean_loss(found, target, link)
        # Never louder: where few validation rows are all right, no loudness would be enough.
        return scaled(found, np.zeros(found.shape[1]), target, link, most=1.0)

    def _keep_best(self, epoch: int, loss: float, scale: float) -> None:
        checkpoints.write_best(self.folder, self.encoder.state_dict(), epoch)
        self.position.best_epoch, self.position.best_loss, self.position.best_scale = epoch, loss, scale

    def _checkpoint(self) -> None:
        checkpoints.write(self.folder, self.encoder, self.optimizer, self.position)
        self._saved_at = time.monotonic()
