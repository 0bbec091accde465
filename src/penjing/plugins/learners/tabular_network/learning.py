"""From encoded rows to a learnt network. Knows no files and no runtime.

Shapes: N training rows, C columns of an array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from penjing.core.errors import DataError
from penjing.core.examples import Examples
from penjing.core.files import digest
from penjing.core.protocols import Fitting
from penjing.core.types import Batch, NDArray, Spec
from penjing.plugins.learners.tabular_network.options import Options
from penjing.training.nets.net import Net, learn_net
from penjing.training.nets.tabular import FtTransformer, Mlp, edges

_BINS = 64
"""Of a number. On Adult, the test loss of an MLP was 0.307 nats with one bin a number, 0.286 with 32, and 0.284 with 64."""
_ENOUGH_ROWS = 200_000
"""For the bounds of bins."""


def learnt(options: Options, spec: Spec, examples: Examples, validation: Examples, fitting: Fitting) -> Net:
    """Return the network. Raises DataError without any column, RunFailed where learning diverges."""
    examples, validation = (Examples(taken(part.inputs), part.target, part.weight) for part in (examples, validation))
    if not examples.inputs:
        raise DataError("There is no column that a network could learn from. Name columns with --column.")
    seen = [np.bincount(codes_N, minlength=2) for codes_N in np.asarray(examples.inputs.get("codes", np.zeros((0, 0), np.int32))).T]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fitting.seed)
        net: Any = begun(options, spec, examples.inputs, [len(counts) for counts in seen])
    regime = options.model_copy(update={"batch_size": options.rows_a_step(len(examples))})
    learn_net(net, spec, examples, validation, regime, fitting, digest(["tabular-network", net.config]), mixup=options.mixup)
    if net.coded is not None:
        net.coded.fill(seen)
    result: Net = net
    return result


def taken(batch: Batch) -> Batch:
    """Return the arrays of `batch` that hold any column."""
    return {name: array for name in ("numbers", "codes") if isinstance(array := batch[name], np.ndarray) and array.shape[1]}


def example(batch: Batch) -> Batch:
    """Return two rows of nothing but zeros, shaped as those that are learnt from."""
    return {name: np.zeros((2, *array.shape[1:]), array.dtype) for name, array in taken(batch).items() if isinstance(array, np.ndarray)}


def begun(options: Options, spec: Spec, inputs: Batch, counts: list[int]) -> Any:
    """Return the network as it begins; counts: of each column of codes, how many there are."""
    numbers_NC: NDArray = np.asarray(inputs.get("numbers", np.zeros((0, 0), np.float32)))
    width, layers, dropout = options.units, options.layers, options.dropout
    if options.architecture == "ft-transformer":
        return FtTransformer(numbers_NC.shape[1], counts, spec.width, width, layers, dropout)
    bounds = edges(numbers_NC[:: max(1, len(numbers_NC) // _ENOUGH_ROWS)], _BINS)
    net = Mlp(numbers_NC.shape[1], counts, [len(found) - 1 for found in bounds], spec.width, width, layers, dropout)
    if net.binned is not None:
        net.binned.set(bounds)
    return net
