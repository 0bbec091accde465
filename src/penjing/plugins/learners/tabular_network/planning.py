"""Whether a network over tables can work here and what it will cost, before anything is spent. Light: torch is not imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

import numpy as np

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.learning.learnt import only
from penjing.core.machine import Machine
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.tabular_network.options import Options
from penjing.training.regime import refused

HEADS = 8
"""Of attention; the width of a Transformer is a multiple of it."""
_SAMPLE = 200
_LIBRARIES = {"openvino-runtime": ("openvino",), "onnx-runtime": ("onnx", "onnxscript", "onnxruntime"), "torch-runtime": ()}
_START_SECONDS, _EXPORT_SECONDS = 4.0, {"openvino-runtime": 3.0, "onnx-runtime": 8.0, "torch-runtime": 0.5}
_LIBRARIES_BYTES = 400 << 20
_MULTIPLIED_A_SECOND = {"mlp": 1.5e10, "ft-transformer": 1e10}
"""Multiplications of a step of learning, forward and back, on one core. Measured with Adult, with busy neighbours, and rounded down."""
_STEP_SECONDS = 2e-3
"""Of a step, whatever its size."""
_BINS, _CODE_UNITS = 64, 16
"""What a number and a code of an MLP come to, about."""


def estimate(options: Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int) -> Estimate:
    """Return the cost of learning from `count` rows like `rows`. Raises PlanError, or MissingLibrary with the install line."""
    for library in ("torch", *_LIBRARIES[options.runtime]):
        if importlib.util.find_spec(library) is None:
            raise plugins.missing(ModuleNotFoundError(name=library), "learner 'tabular-network'")
    _, spec = only("tabular-network", outputs)
    if options.architecture == "ft-transformer" and options.units % HEADS:
        raise PlanError(f"The width {options.width} is no multiple of {HEADS}, as an ft-transformer needs it. Set width: {_round(options.units)}.")
    idle = "has layers that keep nothing which could be computed again" if options.architecture == "mlp" else ""
    refused(options, spec, "tabular-network", checkpointing=idle)
    processor = plugins.load("processors", "columns")
    sample = rows[:_SAMPLE]
    encoded = processor(**processor.options_from(sample, columns, options.resolved())).encode(sample)
    numbers, codes = (np.asarray(encoded[name]).shape[1] for name in ("numbers", "codes"))
    multiplied, weights, kept = _mlp(options, numbers, codes) if options.architecture == "mlp" else _ft_transformer(options, numbers, codes)
    steps = options.epochs * max(1, count // options.rows_a_step(count))
    learning = 3 * multiplied * count * options.epochs / (_MULTIPLIED_A_SECOND[options.architecture] * min(machine.cores, 2))
    seconds = _START_SECONDS + learning + _STEP_SECONDS * steps + _EXPORT_SECONDS[options.runtime]
    memory = _LIBRARIES_BYTES + 16 * weights + 4 * kept * options.rows_a_step(count) + 8 * count * (numbers + codes)
    why = f"at most {options.epochs} epochs, {numbers + codes} columns, {multiplied / 1e6:.2g} M multiplications a row"
    return Estimate(round(seconds, 1), int(memory), int(4 * weights * 6), why)


def _mlp(options: Options, numbers: int, codes: int) -> tuple[int, int, int]:
    """Return the multiplications of a row, the weights, and the values that a row leaves behind for the way back."""
    entering = numbers * (_BINS + 1) + codes * _CODE_UNITS
    matrices = options.units * (entering + options.units * (options.layers - 1))
    return matrices, matrices + codes * _CODE_UNITS * options.max_categories, 3 * entering + 4 * options.units * options.layers


def _ft_transformer(options: Options, numbers: int, codes: int) -> tuple[int, int, int]:
    """Return the same: eight matrices of width x width a layer (four of attention, four of the gated layer), and attention itself."""
    tokens, width = 1 + numbers + codes, options.units
    matrices = options.layers * 8 * width * width
    attention = options.layers * 2 * tokens * tokens * width
    return matrices * tokens + attention, matrices + codes * width * options.max_categories, options.layers * tokens * (20 * width + HEADS * tokens)


def _round(width: int) -> int:
    return max(HEADS, HEADS * round(width / HEADS))
