"""Tuning the upper layers of an encoder alone: how many, and over which states of the lower ones.

Shapes: M validation rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from penjing.core.batching import filled, token_ids
from penjing.core.curve import nobody
from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.files import digest, read_json, write_json
from penjing.core.protocols import Fitting
from penjing.plugins.learners.transformer.options import Options
from penjing.plugins.learners.transformer.planning import TRIED_ROWS, TRIED_SHARES
from penjing.training.encoder import Encoder
from penjing.training.fingerprints import of_examples
from penjing.training.loop import learn
from penjing.training.packed import Packed
from penjing.training.prefix import prefix
from penjing.training.texts import Frozen, Texts

_UNTRIED = 1 / 3
"""The share that is tuned where there are no validation rows to choose by."""
_VALIDATION_ROWS = 512
"""Of a trial."""
_PAYS = 0.99
"""More layers are tuned where that brings the validation loss below this share of what fewer came to."""


def frozen(way: Packed, layers: int, pad: int, examples: Examples, validation: Examples, model: str, fitting: Fitting) -> Frozen:
    """Return the states below the upper `layers`, computed once; model: a digest of the body's weights. Raises RunFailed for too many."""
    depth = way.layers - layers
    if depth < 0:
        raise RunFailed(f"This encoder has {way.layers} layers, and layers is {layers}. Set layers: {way.layers - 1} or fewer.")
    fitting.progress.start("reading with the frozen layers", len(examples) + len(validation))
    train, held = (
        prefix(way, filled(token_ids(part.inputs), pad), depth, model, fitting.cache, fitting.progress.advance, fitting.workers)
        for part in (examples, validation)
    )
    fitting.progress.finish()
    return Frozen(depth, train, held)


def leave(encoder: Encoder, layers: int) -> None:
    """Let nothing of the body be learnt but its upper `layers`."""
    encoder.body.requires_grad_(False)
    encoder.body.encoder.layer[len(encoder.body.encoder.layer) - layers :].requires_grad_(True)


def chosen(options: Options, encoder: Encoder, way: Packed, examples: Examples, validation: Examples, model: str, fitting: Fitting) -> int:
    """Return how many upper layers are worth tuning, by one epoch over some of the rows with each number of them.

    The fewest from which more layers do not lower the validation loss by more than a hundredth. The encoder is left as it was.
    """
    tried = sorted({max(1, round(share * way.layers)) for share in TRIED_SHARES} - {way.layers})
    if not len(validation) or len(tried) < 2:
        return max(1, round(_UNTRIED * way.layers))
    kept = fitting.checkpoints / "layers.json"
    fingerprint = digest([model, of_examples(examples), options.model_dump(exclude={"model"})])
    if kept.exists() and (told := read_json(kept)).get("fingerprint") == fingerprint:
        return int(told["layers"])
    random = np.random.default_rng(fitting.seed)
    some, held = (_some(part, most, random) for part, most in ((examples, TRIED_ROWS), (validation, _VALIDATION_ROWS)))
    lowest = frozen(way, tried[-1], encoder.pad, some, held, model, fitting)
    losses = {layers: _tried(options, encoder, way, layers, lowest, some, held, fitting, fingerprint) for layers in tried}
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
    lowest: Frozen,
    examples: Examples,
    validation: Examples,
    fitting: Fitting,
    fingerprint: str,
) -> float:
    """Return the validation loss after a trial, and put back what it changed."""
    encoder.requires_grad_(True)
    leave(encoder, layers)
    trainee = Texts(encoder, way, examples, validation, options.label_smoothing, options.mixup, lowest)
    before = {name: tensor.clone() for name, tensor in trainee.net.state_dict().items()}
    folder = fitting.checkpoints / f"trial-{layers}"
    folder.mkdir(parents=True, exist_ok=True)
    once = options.model_copy(update={"epochs": 1})
    learn(trainee, once, replace(fitting, checkpoints=folder, tell=nobody), digest([fingerprint, layers]), f"trial of {layers} layers")
    loss = trainee.validated().loss
    trainee.net.load_state_dict(before)
    return loss


def _some(examples: Examples, most: int, random: np.random.Generator) -> Examples:
    rows = np.sort(random.permutation(len(examples))[:most])
    inputs, target = examples.batch(rows)
    return Examples(inputs, target, None if examples.weight is None else examples.weights(rows))
