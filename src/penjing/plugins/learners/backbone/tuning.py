"""From a pretrained model and examples to a learnt one: the head over frozen features, and from there, when asked, everything.

Head first, then everything (LP-FT, Kumar et al. 2022, section 4): a random head's first gradients distort what the model knows.

Shapes: N training rows, M validation rows, S pixels a side, H features.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from penjing.core.examples import Examples
from penjing.core.files import digest, sha256
from penjing.core.models import weights
from penjing.core.protocols import Fitting
from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.backbone import models
from penjing.plugins.learners.backbone.options import Options
from penjing.training import wide_heads
from penjing.training.nets.augment import Augmentation
from penjing.training.nets.net import learn_net
from penjing.training.nets.vision import PIXELS, Vision, features
from penjing.training.precision import chosen


def learnt(options: Options, spec: Spec, examples: Examples, validation: Examples, fitting: Fitting) -> Vision:
    """Return the net that `options.model` becomes. Raises PlanError for the model's folder, RunFailed where learning diverges."""
    model = models.described(models.resolve(options.model))
    precision, name = chosen(options.precision), _digest(options, model)
    net = pretrained(options, model, spec.width)
    # Also where a killed fine-tuning is gone on with: what is read is there already, and the head is learnt to the same bits.
    _learn_head(net, spec, examples, validation, precision, name, fitting)
    if options.tune == "full":
        net.to(memory_format=torch.channels_last)  # as the pixels come, and twice as fast
        fingerprint = digest([name, options.augment.model_dump()])
        learn_net(net, spec, examples, validation, options, fitting, fingerprint, Augmentation(options.augment, fitting.seed))
        net.to(memory_format=torch.contiguous_format)
    return net


def pretrained(options: Options, model: models.Model, width: int) -> Vision:
    """Return the model with a head of zeros."""
    size = options.size_for(model)
    net: Vision
    with torch.random.fork_rng(devices=[]):
        if model.described:
            from penjing.training.nets import hub_vision

            net = hub_vision.pretrained(model.folder, model.described, width, size, mean=model.mean, std=model.std)
        else:
            from penjing.training.nets import efficientnet

            net = efficientnet.EfficientnetLite(width, size)
            efficientnet.load_published(net, model.folder / models.LITE)
    net.set_head(np.zeros((width, net.head.in_features)), np.zeros(width))
    return net


def _learn_head(net: Vision, spec: Spec, examples: Examples, validation: Examples, precision: str, name: str, fitting: Fitting) -> None:
    """Give `net` the head that is best over its features as they are."""
    fitting.progress.start("reading with the frozen model", len(examples) + len(validation))
    train_NH, validation_MH = (
        features(net, cast(NDArray, part.inputs[PIXELS]), precision, name, fitting.cache, fitting.progress.advance) for part in (examples, validation)
    )
    fitting.progress.finish()
    weight = None if examples.weight is None else np.asarray(examples.weight)
    target, validation_target = np.asarray(examples.target), np.asarray(validation.target)
    head = wide_heads.learn(train_NH, target, validation_MH, validation_target, spec.width, spec.link, weight=weight)
    net.set_head(head.weight, head.bias)


def _digest(options: Options, model: models.Model) -> str:
    """Return the digest of all that decides what the model computes before it learns."""
    files = [model.folder / models.LITE] if not model.described else [model.folder / "config.json", *weights(model.folder)]
    return digest([options.size_for(model), model.mean, model.std, *map(sha256, files)])
