"""Small nets over rectangular arrays, and how the loop learns them.

What `augment` draws must be a function of (row, epoch), and what a net draws goes by torch's own chance, which the loop sets: so a run that is
killed and started again ends with the same bits. Knows no plugin, no rows and no export.

Shapes: B examples of a batch, N of all, W width of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from penjing.core.examples import Examples
from penjing.core.files import digest
from penjing.core.protocols import Fitting
from penjing.core.types import Batch, NDArray, Ragged, Spec
from penjing.training.descent import losses_of, mixed
from penjing.training.devices import placed, sent, where
from penjing.training.fingerprints import of_examples
from penjing.training.loop import Judged, judged, learn
from penjing.training.nets.recomputing import normed_by_batch, recomputed
from penjing.training.precision import chosen, products
from penjing.training.regime import PASSES, Regime

_JUDGED_AT_ONCE = 256

Augment = Callable[[Batch, NDArray, NDArray, int], tuple[Batch, NDArray]]
"""(inputs, target, numbers of the examples (B,), epoch) → inputs and target, changed; of training examples only.

The target is (B, W) float32: shares of the classes for softmax.
"""


class Net(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """A batch of tensors → logits (B, W), by named steps. A class below penjing.training, so that what was saved can be made again.

    Its last layer is `head`, which maps the values of the last step but one, (B, D), to the logits.
    """

    head: Any

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


def learn_net(
    net: Net,
    spec: Spec,
    examples: Examples,
    validation: Examples,
    regime: Regime,
    fitting: Fitting,
    fingerprint: str,
    augment: Augment | None = None,
    mixup: float = 0.0,
) -> None:
    """Learn `net` in place. Leaves it in eval mode, at its best epoch, its logits as loud as the validation rows bear out.

    fingerprint: of all that the result depends on beside regime and examples: how the net begins, and what augments. mixup: of what the head is
    given (Verma et al. 2019, section 2), the parameter of its Beta distribution; 0 mixes nothing.
    Parameters that need no gradient stay as they are. Raises RunFailed where learning diverges, PlanError for what this net cannot do.
    """
    regime = regime.model_copy(update={"precision": chosen(regime.precision)})
    whole = digest([fingerprint, of_examples(examples), of_examples(validation), augment is not None, mixup])
    with placed(net), recomputed(net) if regime.checkpointing else nullcontext():
        learn(_NetTrainee(net, spec, examples, validation, regime, augment, mixup), regime, fitting, whole)


class _NetTrainee:
    """A `Trainee`: a net and rectangular examples."""

    def __init__(self, net: Net, spec: Spec, examples: Examples, validation: Examples, regime: Regime, augment: Augment | None, mixup: float) -> None:
        self.net, self.spec, self.examples, self.validation = net, spec, examples, validation
        self.regime, self.augment, self.mixup = regime, augment, mixup
        self.count, self.sizes = len(examples), np.ones(len(examples), np.int64)
        self.divisible, self.operations = not normed_by_batch(net), self._operations()

    def losses(self, rows: NDArray, epoch: int) -> Any:
        inputs, target = self._drawn(rows, epoch)
        weight_B = None if self.examples.weight is None else sent(self.examples.weights(rows), where(self.net))
        with products(self.regime.precision):
            logits_BW, target = self._mixed(inputs, target) if self.mixup else (self.net(inputs), target)
        return losses_of(logits_BW.float(), target, self.spec.link, weight_B, self.regime.label_smoothing)

    def validated(self) -> Judged:
        count, at_once = len(self.validation), max(self.regime.batch_size, _JUDGED_AT_ONCE)
        found_NW = np.empty((count, self.spec.width), np.float32)
        for start in range(0, count, at_once):
            rows = np.arange(start, min(start + at_once, count))
            with torch.inference_mode(), products(self.regime.precision):
                found_NW[rows] = self.net(tensors(self.validation.batch(rows)[0], where(self.net))).float().cpu().numpy()
        return judged(found_NW, np.asarray(self.validation.target), self.spec)

    def scale_output(self, factor: float) -> None:
        self.net.scale_output(factor)

    def _drawn(self, rows: NDArray, epoch: int) -> tuple[dict[str, Any], Any]:
        """Return inputs and target of the examples at `rows`, augmented."""
        inputs, target = self.examples.batch(rows)
        if self.augment is not None:
            target = np.eye(self.spec.width, dtype=np.float32)[target] if target.ndim == 1 else target
            inputs, target = self.augment(inputs, target, rows, epoch)
        return tensors(inputs, where(self.net)), sent(target, where(self.net))

    def _mixed(self, inputs: Mapping[str, Any], target: Any) -> tuple[Any, Any]:
        """Return logits and targets of what the head is given of each row, mixed with another's; a row's weight stays its own."""
        *_, (_, hidden_BD), _ = self.net.steps(inputs)
        mixed_BD, target = mixed(hidden_BD, target, self.spec.width, self.mixup)
        return self.net.head(mixed_BD), target

    def _operations(self) -> float:
        """Return multiply-adds x 2 of learning from one example, as torch counts those of reading two."""
        rows = np.arange(min(2, self.count))
        self.net.eval()
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            self.net(tensors(self.examples.batch(rows)[0], where(self.net)))
        return PASSES * float(counted.get_total_flops()) / max(1, len(rows))


def tensors(arrays: Mapping[str, Any], to: Any = "cpu") -> dict[str, Any]:
    """Return `arrays` as torch sees them, on the device `to`. Raises TypeError for a ragged one."""
    for name, array in arrays.items():
        if isinstance(array, Ragged):
            raise TypeError(f"{name!r} is ragged, and a net takes rectangular arrays only.")
    # A mapped file is read-only, which torch warns of.
    return {name: torch.from_numpy(np.require(array, requirements=["C", "W"])).to(to) for name, array in arrays.items()}
