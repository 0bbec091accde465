"""Tuning the upper layers of an encoder alone: how many, and over which states of the lower ones.

Shapes: M validation rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from penjing.core.curve import nobody
from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.files import digest, read_json, write_json
from penjing.core.graphs.batching import filled, token_ids
from penjing.core.protocols import Fitting
from penjing.core.types import NDArray
from penjing.plugins.learners.transformer.options import Options
from penjing.plugins.learners.transformer.planning import TRIED_ROWS, tried_layers
from penjing.training.fingerprints import of_examples
from penjing.training.loop import learn
from penjing.training.texts.encoder import Encoder
from penjing.training.texts.packed import Packed
from penjing.training.texts.prefix import Some, prefix
from penjing.training.texts.trainee import Frozen, Texts
from penjing.training.trainee import Judged

_UNTRIED = 1 / 3
"""The share that is tuned where there are no validation rows to choose by."""
_VALIDATION_ROWS = 512
"""Of a trial."""
_PAYS = 0.99
"""More layers are tuned where that brings the validation loss below this share of what fewer came to."""


def candidates(options: Options, layers: int, validation: Examples) -> list[int]:
    """Return the numbers of upper layers, rising, among which is chosen: one where it is asked for, or where nothing could tell them apart."""
    if options.layers is not None:
        return [options.layers]
    tried = tried_layers(layers) if len(validation) else []
    return tried if len(tried) > 1 else [max(1, round(_UNTRIED * layers))]


def frozen(
    way: Packed, layers: int, pad: int, examples: Examples, validation: Examples, model: str, fitting: Fitting, below: Frozen | None = None
) -> Frozen:
    """Return the states below the upper `layers`, computed once, from those that lie lower where they are given.

    model: a digest of the body's weights. Raises RunFailed for too many layers.
    """
    depth = way.layers - layers
    if depth < 0:
        raise RunFailed(f"This encoder has {way.layers} layers, and layers is {layers}. Set layers: {way.layers - 1} or fewer.")
    fitting.progress.start("reading with the frozen layers", len(examples) + len(validation))
    known = (None, None) if below is None else ((below.depth, below.train), (below.depth, below.validation))
    train, held = (
        prefix(way, filled(token_ids(part.inputs), pad), depth, model, fitting.cache, fitting.progress.advance, fitting.workers, lower)
        for part, lower in zip((examples, validation), known, strict=True)
    )
    fitting.progress.finish()
    return Frozen(depth, train, held)


def leave(encoder: Encoder, layers: int) -> None:
    """Let nothing of the body be learnt but its upper `layers`."""
    encoder.body.requires_grad_(False)
    encoder.body.encoder.layer[len(encoder.body.encoder.layer) - layers :].requires_grad_(True)


def chosen(
    options: Options,
    encoder: Encoder,
    way: Packed,
    tried: Sequence[int],
    lowest: Frozen,
    examples: Examples,
    validation: Examples,
    model: str,
    fitting: Fitting,
) -> int:
    """Return how many upper layers, of the numbers `tried`, are worth tuning, by one epoch over some of the rows with each.

    The fewest from which more layers do not lower the validation loss by more than a hundredth. lowest: the states below the most layers that are
    tried. The encoder is left as it was.
    """
    kept = fitting.checkpoints / "layers.json"
    fingerprint = digest([model, of_examples(examples), options.model_dump(exclude={"model"})])
    if kept.exists() and (told := read_json(kept)).get("fingerprint") == fingerprint:
        return int(told["layers"])
    random = np.random.default_rng(fitting.seed)
    rows, held_rows = (np.sort(random.permutation(len(part))[:most]) for part, most in ((examples, TRIED_ROWS), (validation, _VALIDATION_ROWS)))
    some, held = _some(examples, rows), _some(validation, held_rows)
    states = Frozen(lowest.depth, Some(lowest.train, rows), Some(lowest.validation, held_rows))
    first = Texts(encoder, way, some, held, frozen=states).validated()
    losses = {layers: _tried(options, encoder, way, layers, states, some, held, fitting, fingerprint, first) for layers in tried}
    best = tried[0]
    for layers in tried[1:]:
        if losses[layers] < _PAYS * losses[best]:
            best = layers
    write_json(kept, {"fingerprint": fingerprint, "layers": best})
    figures = ", ".join(f"{loss:.3f} with {layers}" for layers, loss in losses.items())
    fitting.progress.say(f"The upper {best} of {way.layers} layers are tuned. Validation loss after a trial on {len(some)} rows: {figures}.")
    return best


def cannot(way: object) -> RunFailed:
    return RunFailed(f"The layers of this encoder cannot be told apart ({type(way).__name__}): choose tune: full, or an encoder of the BERT family.")


def _tried(
    options: Options,
    encoder: Encoder,
    way: Packed,
    layers: int,
    states: Frozen,
    examples: Examples,
    validation: Examples,
    fitting: Fitting,
    fingerprint: str,
    first: Judged,
) -> float:
    """Return the validation loss after a trial, and put back what it changed."""
    encoder.requires_grad_(True)
    leave(encoder, layers)
    trainee = Texts(encoder, way, examples, validation, options.label_smoothing, options.mixup, states)
    before = {name: tensor.clone() for name, tensor in trainee.net.state_dict().items()}
    folder = fitting.checkpoints / f"trial-{layers}"
    folder.mkdir(parents=True, exist_ok=True)
    once = options.model_copy(update={"epochs": 1})
    silent = replace(fitting, checkpoints=folder, tell=nobody)
    loss = learn(trainee, once, silent, digest([fingerprint, layers]), f"trial of {layers} layers", first)
    trainee.net.load_state_dict(before)
    return loss


def _some(examples: Examples, rows: NDArray) -> Examples:
    inputs, target = examples.batch(rows)
    return Examples(inputs, target, None if examples.weight is None else examples.weights(rows))
