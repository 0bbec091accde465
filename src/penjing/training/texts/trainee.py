"""An encoder and texts, as the loop learns them: everything, or its upper layers over states that are kept, or what adapts it; and the head.

Shapes: N training texts, B of a piece, M validation texts, T tokens of a piece, H hidden units, W width of the output.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from penjing.core.examples import Examples
from penjing.core.graphs.batching import filled, token_ids
from penjing.core.types import NDArray, Ragged
from penjing.training import heads
from penjing.training.batches import pieces
from penjing.training.descent import losses_of, mixed
from penjing.training.devices import sent, where
from penjing.training.regime import PASSES
from penjing.training.texts.encoder import Encoder
from penjing.training.texts.features import TOKENS
from penjing.training.texts.packed import Packed, Padded, pooled
from penjing.training.texts.prefix import Prefix
from penjing.training.texts.segments import multiplied
from penjing.training.trainee import Judged, judged


def give_head(encoder: Encoder, train_NH: NDArray, examples: Examples, validation_MH: NDArray, validation: Examples) -> Judged:
    """Give `encoder` the head that is best over these features of the texts, and return how that is judged.

    The head comes first (LP-FT, Kumar et al. 2022, section 4): the first gradients of a poor one distort what the encoder knows.
    """
    target, held_out, spec = np.asarray(examples.target), np.asarray(validation.target), encoder.spec
    head = heads.learn(train_NH, target, validation_MH, held_out, spec.width, spec.link, examples.weight)
    encoder.set_head(head.weight, head.bias)
    # At its own scale, so that a head that cannot be bettered stays as it is.
    return replace(judged(head.logits(validation_MH), held_out, spec), scale=1.0, loss=head.loss)


@dataclass(frozen=True, slots=True)
class Frozen:
    """Lower layers that stay as they are, and what they make of the texts."""

    depth: int
    train: Prefix
    validation: Prefix


class Learnt(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """The parameters of a module that are learnt, and nothing else of it: what a checkpoint has to hold."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        for name, parameter in whole.named_parameters():
            if parameter.requires_grad:
                self.register_parameter(name.replace(".", "/"), parameter)


class Texts:
    """A `Trainee`: what requires a gradient in `encoder`, over texts."""

    divisible = True

    def __init__(
        self,
        encoder: Encoder,
        way: Packed | Padded,
        examples: Examples,
        validation: Examples,
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
        frozen: Frozen | None = None,
    ) -> None:
        """mixup: of what the head is given (Verma et al. 2019), the parameter of its Beta distribution; 0 mixes nothing."""
        self.encoder, self.way, self.examples, self.validation = encoder, way, examples, validation
        self.label_smoothing, self.mixup, self.frozen = label_smoothing, mixup, frozen
        self.ids, self._validation_ids = (filled(token_ids(part.inputs), encoder.pad) for part in (examples, validation))
        self.net, self.count, self.sizes, self.spec = Learnt(encoder), len(examples), self.ids.lengths, encoder.spec
        self.operations = self._operations()

    def _operations(self) -> float:
        if not isinstance(self.way, Packed):
            return PASSES * 2.0 * multiplied(self.encoder.parts[-1])
        layers = self.encoder.body.encoder.layer[0 if self.frozen is None else self.frozen.depth :]
        products = sum(weight.numel() for weight in layers.parameters() if weight.ndim == 2)
        seen = float((self.sizes.astype(np.float64) ** 2).sum() / max(1, self.sizes.sum()))  # tokens that a token looks at, in the mean
        return float(PASSES * (2 * products + 4 * seen * self.way.hidden * len(layers)))

    def losses(self, rows: NDArray, epoch: int) -> Any:
        pooled_BH = self._pooled(self.ids, rows, None if self.frozen is None else self.frozen.train)
        device = pooled_BH.device
        target = sent(np.asarray(self.examples.target[rows]), device)
        weight = None if self.examples.weight is None else sent(self.examples.weights(rows), device)
        if self.mixup:
            pooled_BH, target = mixed(pooled_BH, target, self.spec.width, self.mixup)
        return losses_of(self.encoder.head(pooled_BH), target, self.spec.link, weight, self.label_smoothing)

    def validated(self) -> Judged:
        return judged(self.logits(), np.asarray(self.validation.target), self.spec)

    def logits(self) -> NDArray:
        """Return (M, W) float32, what the validation texts are answered."""
        with torch.inference_mode():
            means_MH = sent(self._means(self._validation_ids, None if self.frozen is None else self.frozen.validation), where(self.encoder))
            found_MW: NDArray = self.encoder.head(means_MH).cpu().numpy()
        return found_MW

    def features(self) -> tuple[NDArray, NDArray]:
        """Return (N, H) and (M, H) float32, what the head is given of training and validation texts."""
        train, validation = (None, None) if self.frozen is None else (self.frozen.train, self.frozen.validation)
        return self._means(self.ids, train), self._means(self._validation_ids, validation)

    def scale_output(self, factor: float) -> None:
        with torch.no_grad():
            self.encoder.head.weight.mul_(factor)
            self.encoder.head.bias.mul_(factor)

    def _means(self, ids: Ragged, kept: Prefix | None) -> NDArray:
        found = np.empty((len(ids), self.encoder.head.in_features), np.float32)
        for rows in pieces(ids.lengths, TOKENS):
            with torch.inference_mode():
                found[rows] = self._pooled(ids, rows, kept).cpu().numpy()
        return found

    def _pooled(self, ids: Ragged, rows: NDArray, kept: Prefix | None) -> Any:
        """Return (B, H) float32."""
        lengths = ids.lengths[rows]
        if kept is None or self.frozen is None or not isinstance(self.way, Packed):
            return pooled(self.way(ids.take(rows)), lengths)
        return pooled(self.way.through(kept.take(rows), lengths, self.frozen.depth), lengths)
