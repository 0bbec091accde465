"""What guesses tokens from states, over a body: a language model's head, and the `Trainee` that learns both. Knows no files.

The output has the weights of the embeddings (Press and Wolf 2017), behind a layer of units and a norm, as BERT's has.

Shapes: N tokens of B texts, M tokens to guess, H hidden units, E units of an embedding, V tokens that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from penjing.core.types import NDArray, Ragged, Spec
from penjing.training.batches import pieces
from penjing.training.devices import sent
from penjing.training.regime import PASSES
from penjing.training.texts.guessing import Language, Question, following, hidden
from penjing.training.texts.pretraining_options import Pretraining
from penjing.training.texts.segments import multiplied
from penjing.training.trainee import Judged

_CELLS = 1 << 24
"""Logits computed at once, and computed again on the way back where there are more: 64 MB."""
_LEAST = 3
"""Tokens of a text that there is something to guess in: its beginning, its end, and one between."""
_TOKENS = 8192
"""Read at once where nothing is learnt."""


class Corpus:
    """Texts of several sources as one, in their order, without those that hold nothing to guess."""

    def __init__(self, parts: Sequence[Ragged]) -> None:
        self._parts = parts
        which = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        place = np.concatenate([np.zeros(0, np.int64), *(np.arange(len(part)) for part in parts)])
        lengths = np.concatenate([np.zeros(0, np.int64), *(part.lengths for part in parts)])
        kept = lengths >= _LEAST
        self.lengths, self._which, self._place = lengths[kept], which[kept], place[kept].astype(np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: NDArray) -> Ragged:
        return Ragged.of([self._parts[part][place] for part, place in zip(self._which[rows], self._place[rows], strict=True)], np.int64)


class Guesser(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """A body, and what makes of its states logits of tokens."""

    def __init__(self, body: Any, precision: str) -> None:
        super().__init__()
        self.body, self.dtype = body, torch.bfloat16 if precision == "bf16" else torch.float32
        size, width = body.get_input_embeddings().weight.shape
        self.units, self.norm = nn.Linear(body.config.hidden_size, width), nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(size))

    def losses(self, states_MH: Any, right_M: Any) -> tuple[Any, Any]:
        """Return the loss of each guess in nats, (M,) float32, and whether it is right, (M,) bool."""
        room = max(1, _CELLS // len(self.bias))
        if len(states_MH) <= room or not torch.is_grad_enabled():
            found = [self._losses(*part) for part in zip(states_MH.split(room), right_M.split(room), strict=True)]
        else:
            found = [
                checkpoint(self._losses, *part, use_reentrant=False, preserve_rng_state=False)
                for part in zip(states_MH.split(room), right_M.split(room), strict=True)
            ]
        losses, hits = zip(*found, strict=True)
        return torch.cat(losses), torch.cat(hits)

    def _losses(self, states_MH: Any, right_M: Any) -> tuple[Any, Any]:
        units_ME = functional.linear(states_MH.to(self.dtype), self.units.weight.to(self.dtype), self.units.bias.to(self.dtype))
        normed_ME = self.norm(functional.gelu(units_ME).float()).to(self.dtype)
        weight_VE = self.body.get_input_embeddings().weight.to(self.dtype)
        logits_MV = functional.linear(normed_ME, weight_VE, self.bias.to(self.dtype)).float()
        return functional.cross_entropy(logits_MV, right_M, reduction="none"), logits_MV.detach().argmax(1) == right_M


class LanguageTrainee:
    """A `Trainee`: a body that learns to guess tokens of the texts `train`, judged by the texts `held_out`."""

    divisible = True

    def __init__(
        self,
        net: Guesser,
        read: Callable[[Ragged], Any],
        corpus: Corpus,
        train: NDArray,
        held_out: NDArray,
        language: Language,
        options: Pretraining,
        seed: int,
    ) -> None:
        """read: ids → last hidden states (N, H) of `net.body`; train, held_out: numbers of texts in `corpus`."""
        self.net, self.read, self.corpus, self.train, self.held_out = net, read, corpus, train, held_out
        self.language, self.options, self.seed = language, options, seed
        self.count, self.sizes, self.spec = len(train), corpus.lengths[train], Spec(language.size, "softmax")
        # The mean of a step over its texts is then about the mean over its guesses, and every guess counts alike.
        self._guesses = max(1.0, float(self.sizes.mean()) * self._share)
        self.operations = PASSES * 2.0 * (multiplied(net.body) + self._share * net.bias.numel() * net.units.out_features)

    def losses(self, rows: NDArray, epoch: int) -> Any:
        asked = self._asked(self.train[rows], epoch)
        losses_M, _ = self._answered(asked)
        where = losses_M.device
        return torch.zeros(len(rows), device=where).index_add(0, sent(asked.text, where), losses_M) / self._guesses

    def validated(self) -> Judged:
        """Return the mean loss of a guess, whose exponential is the perplexity, and the share of guesses that are right."""
        loss, hits, count = 0.0, 0, 0
        with torch.inference_mode():
            for rows in pieces(self.corpus.lengths[self.held_out], _TOKENS):
                asked = self._asked(self.held_out[rows], 0)
                losses_M, right_M = self._answered(asked)
                loss, hits, count = loss + float(losses_M.double().sum()), hits + int(right_M.sum()), count + len(asked.right)
        return Judged(1.0, loss / max(1, count), hits / max(1, count))

    def scale_output(self, factor: float) -> None:
        """Nothing: a language model is judged at its own scale, which is 1."""

    @property
    def _share(self) -> float:
        """Of the tokens of a text, those that are guessed."""
        return float(self.options.share) if self.options.objective == "masked" else 1.0

    def _asked(self, numbers: NDArray, epoch: int) -> Question:
        ids = self.corpus.take(numbers)
        return hidden(ids, numbers, self.language, self.options.share, self.seed, epoch) if self.options.objective == "masked" else following(ids)

    def _answered(self, asked: Question) -> tuple[Any, Any]:
        states_NH = self.read(asked.seen)
        return self.net.losses(states_NH[sent(asked.places, states_NH.device)], sent(asked.right, states_NH.device))
