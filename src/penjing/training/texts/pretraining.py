"""Pre-training: a body learns the language of the user's own texts, labelled or not, before it learns a task from a few of them.

What was learnt is kept in the cache under the name of all that it depends on, so that a run that is killed afterwards, or one with other options
of the task, does not learn it again. Knows no task and no plugin.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from penjing.core.curve import Point
from penjing.core.errors import DataError
from penjing.core.examples import Examples
from penjing.core.files import digest, written
from penjing.core.graphs.batching import token_ids
from penjing.core.protocols import Fitting
from penjing.core.types import NDArray, Ragged
from penjing.training.devices import where
from penjing.training.loop import learn
from penjing.training.texts.guessing import Language
from penjing.training.texts.language import Corpus, Guesser, LanguageTrainee
from penjing.training.texts.packed import reader
from penjing.training.texts.pretraining_options import Pretraining
from penjing.training.trainee import Judged

FEWEST = 8
"""Texts without which there is nothing to learn a language from."""
_NAME = "pre-training"
_HELD_OUT, _MOST_HELD_OUT = 10, 500
"""One text in so many is held out, and at most so many of them."""
_ITS_PART = 0.6
"""Share of what may be spent that goes into it at most: the rest is for the task."""


def pretrain(
    body: Any,
    texts: Sequence[Examples],
    options: Pretraining,
    precision: str,
    fitting: Fitting,
    fingerprint: str,
    language: Language,
    piece: int,
    read: Callable[[Ragged], Any] | None = None,
) -> None:
    """Let `body` learn, in place, to guess tokens of `texts`; does nothing with objective: none.

    texts: encoded rows, whose targets are not looked at; precision: "f32" or "bf16"; fingerprint: of the body as it begins; language: the tokens
    of the tokenizer; read: ids → last hidden states (tokens, H) of `body`, packed.reader where not given; piece: tokens that go through at once.
    Raises DataError for fewer than FEWEST texts of three tokens or more, RunFailed where learning diverges.
    """
    if options.objective == "none":
        return
    parts = [token_ids(part.inputs) for part in texts]
    corpus = Corpus(parts)
    _check(corpus)
    name = digest([fingerprint, _digest(parts), options.model_dump(), precision, piece, asdict(language), fitting.seed, torch.__version__])
    kept = _place(fitting) / f"pretrained-{name[:32]}.safetensors"
    if kept.exists():
        body.load_state_dict(load_file(kept))
        fitting.progress.say("Pre-training on these texts was done before, and is not done again.")
        return
    trainee = _trainee(body, corpus, options, precision, fitting, language, read)
    _learn(trainee, options, precision, piece, fitting, name)
    if not fitting.workers.rank:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with written(kept) as partial:
            save_file({key: tensor.detach().contiguous() for key, tensor in body.state_dict().items()}, partial)
    fitting.workers.wait()


def _learn(trainee: LanguageTrainee, options: Pretraining, precision: str, piece: int, fitting: Fitting, name: str) -> None:
    """Let the net of `trainee` learn, and tell the perplexity before and after."""
    trainee.net.eval()
    before = trainee.validated()
    if not any((fitting.checkpoints / _NAME).glob("*")):  # a run that goes on has told it
        fitting.tell(_NAME, Point(0, 0.0, 0.0, math.nan, 0.0, validation_loss=before.loss, quality=before.quality))
    allowed = fitting.allowance
    bounded = replace(allowed, seconds=allowed.seconds * _ITS_PART, joules=allowed.joules * _ITS_PART, gain_per_watt_hour=0.0)
    learn(trainee, options.regime(precision, piece), replace(fitting, allowance=bounded), name, _NAME, before)
    after = trainee.validated()
    fitting.progress.say(
        f"Pre-training ({options.objective}) on {trainee.count:,} texts: perplexity {_perplexity(before)} before, {_perplexity(after)} after, "
        f"{after.quality:.0%} of the guesses right, on {len(trainee.held_out)} texts held out."
    )


def _trainee(
    body: Any, corpus: Corpus, options: Pretraining, precision: str, fitting: Fitting, language: Language, read: Callable[[Ragged], Any] | None
) -> LanguageTrainee:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fitting.seed)
        net = Guesser(body, precision).to(where(body))
    order = np.random.default_rng(fitting.seed).permutation(len(corpus))
    aside = max(1, min(_MOST_HELD_OUT, len(corpus) // _HELD_OUT))
    read = read or reader(body, precision, causal=options.objective == "causal")
    return LanguageTrainee(net, read, corpus, np.sort(order[aside:]), np.sort(order[:aside]), language, options, fitting.seed)


def _check(corpus: Corpus) -> None:
    if len(corpus) < FEWEST:
        raise DataError(
            f"Pre-training needs at least {FEWEST} texts of some words, and there are {len(corpus)}. "
            "Give unlabelled rows, or set pretrain: {objective: none} for this tier."
        )


def _place(fitting: Fitting) -> Path:
    """Return where what was learnt is kept: for other runs too, unless what may be spent decided how far it came."""
    allowed = fitting.allowance
    return fitting.cache if math.isinf(allowed.seconds) and math.isinf(allowed.joules) else fitting.checkpoints


def _perplexity(judged: Judged) -> str:
    return f"{math.exp(min(judged.loss, 700.0)):,.1f}"


def _digest(parts: Sequence[Ragged]) -> str:
    told = hashlib.sha256()
    for ids in parts:
        for array in (ids.values, ids.offsets):
            told.update(_bytes(array))
    return told.hexdigest()


def _bytes(array: NDArray) -> bytes:
    return np.ascontiguousarray(array).tobytes()
