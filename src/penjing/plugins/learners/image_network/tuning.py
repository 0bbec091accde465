"""From examples to a small net that has learnt them. Imports torch."""

from __future__ import annotations

import numpy as np
import torch

from penjing.core.examples import Examples
from penjing.core.files import digest
from penjing.core.protocols import Fitting
from penjing.core.types import Spec
from penjing.plugins.learners.image_network.options import Options
from penjing.training.losses import prior
from penjing.training.nets.augment import Augmentation
from penjing.training.nets.convolutions import Convolutions
from penjing.training.nets.net import learn_net


def learnt(options: Options, spec: Spec, examples: Examples, validation: Examples, fitting: Fitting) -> Convolutions:
    """Return the net. It begins with a head that answers the classes' shares. Raises RunFailed where learning diverges."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fitting.seed)
        net = Convolutions(spec.width, options.channels, options.stages)
    net.set_head(np.zeros(net.head.weight.shape), prior(np.asarray(examples.target), spec, examples.weight))
    net.to(memory_format=torch.channels_last)  # as the pixels come, and twice as fast
    regime = options.model_copy(update={"batch_size": options.batch_for(len(examples))})
    fingerprint = digest([options.channels, options.stages, options.augment.model_dump()])
    learn_net(net, spec, examples, validation, regime, fitting, fingerprint, Augmentation(options.augment, fitting.seed))
    net.to(memory_format=torch.contiguous_format)
    return net
