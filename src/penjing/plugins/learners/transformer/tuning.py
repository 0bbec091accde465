"""From a pretrained encoder and examples to a learnt one: the head over frozen features, and from there, when asked, everything.

Head first, then everything (LP-FT, Kumar et al. 2022, section 4): a random head's first gradients distort what the encoder knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from penjing.core.batching import token_ids
from penjing.core.examples import Examples
from penjing.core.files import digest, sha256
from penjing.core.protocols import Fitting
from penjing.core.types import Spec
from penjing.plugins.learners.transformer import models
from penjing.plugins.learners.transformer.options import Options
from penjing.training import heads
from penjing.training.encoder import Encoder, pretrained
from penjing.training.features import features
from penjing.training.loop import FineTuning, Schedule
from penjing.training.precision import chosen


def learnt(options: Options, outputs: Mapping[str, Spec], examples: Examples, validation: Examples, fitting: Fitting) -> Encoder:
    """Return the encoder that `options.model` becomes. Raises PlanError for the model's folder, RunFailed where learning diverges."""
    folder = models.resolve(options.model)
    model, precision = _digest(folder), chosen(options.precision)
    encoder = pretrained(folder, outputs)
    if options.tune == "frozen":
        _learn_head(encoder, examples, validation, precision, model, fitting)
        return encoder
    schedule = Schedule(options.epochs, options.learning_rate, options.batch_size, precision, fitting.seed)
    fingerprint = digest([model, asdict(schedule), _fingerprint(examples), _fingerprint(validation), torch.__version__])
    tuning = FineTuning(encoder, examples, validation, schedule, fitting.checkpoints, fingerprint, fitting.progress)
    if not tuning.resume():
        tuning.begin(_learn_head(encoder, examples, validation, precision, model, fitting))
    tuning.run()
    return encoder


def _learn_head(encoder: Encoder, examples: Examples, validation: Examples, precision: str, model: str, fitting: Fitting) -> float:
    """Give `encoder` the head that is best over its features as they are, and return its validation loss (NaN without validation rows)."""
    fitting.progress.start("reading with the frozen encoder", len(examples) + len(validation))
    train_NH, validation_NH = (
        features(encoder, token_ids(part.inputs), precision, model, fitting.cache, fitting.progress.advance) for part in (examples, validation)
    )
    fitting.progress.finish()
    head = heads.learn(train_NH, np.asarray(examples.target), validation_NH, np.asarray(validation.target), encoder.spec.width, encoder.spec.link)
    encoder.set_head(head.weight, head.bias)
    return head.loss


def _digest(folder: Path) -> str:
    """Return the digest of the files that decide what the encoder computes."""
    return digest([sha256(path) for path in (folder / "config.json", *models.weights(folder))])


def _fingerprint(examples: Examples) -> str:
    ids = token_ids(examples.inputs)
    name = hashlib.sha256()
    for array in (ids.values, ids.offsets, examples.target):
        name.update(np.ascontiguousarray(array).tobytes())
    return name.hexdigest()
