"""From a pretrained encoder and examples to a learnt one: the head over frozen features, from there, when asked, everything, and then exits.

Head first, then everything (LP-FT, Kumar et al. 2022, section 4): a random head's first gradients distort what the encoder knows. Early
exits come last: each a head over the states at its depth, taught by the whole's own answers, which stay as they are.

Shapes: N training rows, M validation rows, H hidden units, W width of the output.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from penjing.core.batching import token_ids
from penjing.core.examples import Examples
from penjing.core.files import digest, sha256
from penjing.core.protocols import Fitting
from penjing.core.types import Spec
from penjing.plugins.learners.transformer import models, planning
from penjing.plugins.learners.transformer.options import Options
from penjing.training import heads
from penjing.training.encoder import Encoder, pretrained
from penjing.training.features import features
from penjing.training.loop import FineTuning, Schedule
from penjing.training.precision import chosen
from penjing.training.segments import check_cuts


def learnt(options: Options, outputs: Mapping[str, Spec], examples: Examples, validation: Examples, fitting: Fitting) -> Encoder:
    """Return the encoder that `options.model` becomes. Raises PlanError for the model's folder, RunFailed where learning diverges."""
    folder = models.resolve(options.model)
    planning.check_exits(options, models.config(folder))
    model, precision = _digest(folder), chosen(options.precision)
    encoder = pretrained(folder, outputs)
    if options.exits:
        check_cuts(encoder.body)
    if options.tune == "frozen":
        _learn_head(encoder, examples, validation, precision, model, fitting, options.exits)
        _learn_exits(encoder, options.exits, examples, validation, precision, model, fitting)
        return encoder
    schedule = Schedule(options.epochs, options.learning_rate, options.batch_size, precision, fitting.seed)
    fingerprint = digest([model, asdict(schedule), _fingerprint(examples), _fingerprint(validation), torch.__version__])
    tuning = FineTuning(encoder, examples, validation, schedule, fitting.checkpoints, fingerprint, fitting.progress)
    if not tuning.resume():
        tuning.begin(_learn_head(encoder, examples, validation, precision, model, fitting))
    tuning.run()
    _learn_exits(encoder, options.exits, examples, validation, precision, _digest_of_weights(encoder), fitting)
    return encoder


def _learn_head(
    encoder: Encoder, examples: Examples, validation: Examples, precision: str, model: str, fitting: Fitting, depths: Sequence[int] = ()
) -> float:
    """Give `encoder` the head that is best over its features as they are, and return its validation loss (NaN without validation rows).

    depths: of states that will be asked for afterwards, and are best kept in the same reading.
    """
    fitting.progress.start("reading with the frozen encoder", len(examples) + len(validation))
    (*_, train_NH), (*_, validation_NH) = (
        features(encoder, token_ids(part.inputs), precision, model, fitting.cache, fitting.progress.advance, depths)
        for part in (examples, validation)
    )
    fitting.progress.finish()
    head = heads.learn(
        train_NH, np.asarray(examples.target), validation_NH, np.asarray(validation.target), encoder.spec.width, encoder.spec.link, examples.weight
    )
    encoder.set_head(head.weight, head.bias)
    return head.loss


def _learn_exits(
    encoder: Encoder, depths: Sequence[int], examples: Examples, validation: Examples, precision: str, model: str, fitting: Fitting
) -> None:
    """Give `encoder` a head at each of the `depths`, learnt from what the whole answers and from the targets, half and half."""
    if not depths:
        return
    fitting.progress.start("reading for the early exits", len(examples) + len(validation))
    (*states, train_NH), (*validation_states, _) = (
        features(encoder, token_ids(part.inputs), precision, model, fitting.cache, fitting.progress.advance, depths)
        for part in (examples, validation)
    )
    fitting.progress.finish()
    link, weight_WH, bias_W = encoder.spec.link, encoder.head.weight.detach().numpy(), encoder.head.bias.detach().numpy()
    target, validation_target = heads.taught(train_NH @ weight_WH.T + bias_W, np.asarray(examples.target), link), np.asarray(validation.target)
    learnt = {
        depth: heads.learn(state_NH, target, validation_MH, validation_target, encoder.spec.width, link, examples.weight)
        for depth, state_NH, validation_MH in zip(depths, states, validation_states, strict=True)
    }
    encoder.set_exits({depth: (head.weight, head.bias) for depth, head in learnt.items()})


def _digest_of_weights(encoder: Encoder) -> str:
    name = hashlib.sha256()
    for tensor in encoder.body.state_dict().values():
        name.update(tensor.numpy().tobytes())
    return name.hexdigest()


def _digest(folder: Path) -> str:
    """Return the digest of the files that decide what the encoder computes."""
    return digest([sha256(path) for path in (folder / "config.json", *models.weights(folder))])


def _fingerprint(examples: Examples) -> str:
    ids = token_ids(examples.inputs)
    name = hashlib.sha256()
    weight = [] if examples.weight is None else [examples.weight]
    for array in (ids.values, ids.offsets, examples.target, *weight):
        name.update(np.ascontiguousarray(array).tobytes())
    return name.hexdigest()
