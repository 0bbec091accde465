"""A small convolutional net, learnt from nothing but the user's pictures: where they look like nothing that others have learnt from.

Planning stays light: torch is imported by what learns, runs and exports, not by what plans.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

import numpy as np

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.examples import Examples
from penjing.core.learning.probe import probed
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Estimate, NDArray, Row, Spec
from penjing.plugins.learners.image_network import options as settings
from penjing.training.nets.learner import NetLearner
from penjing.training.regime import refused

_LEARNING = {"f32": 0.25, "bf16": 0.35}
"""Multiply-adds a second of a training step, as a share of what the float32 probe reaches. Read on two busy cores, so rather too little."""
_DECODE_SECONDS = 3e-3
"""A photo, on one core."""
_START_SECONDS, _EXPORT_SECONDS = 5.0, {"openvino-runtime": 3.0, "onnx-runtime": 10.0, "torch-runtime": 1.0}
_LIBRARIES_BYTES = 600 << 20
_LIBRARIES = {"openvino-runtime": ("openvino",), "onnx-runtime": ("onnx", "onnxscript", "onnxruntime"), "torch-runtime": ()}
_KEPT_A_VALUE = 16
"""Bytes that a training step keeps for the way back, for each value of the stem's output, stages included."""


class ImageNetwork(NetLearner):
    tier = "image-network"
    processor: ClassVar[str] = "pixels"
    Options: ClassVar[type[settings.Options]] = settings.Options
    options: settings.Options

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Raises PlanError for more stages than the size has room for, MissingLibrary where torch or Pillow is absent."""
        cls.create(options, outputs)
        for library in ("PIL", "torch", *_LIBRARIES[options.runtime]):
            if importlib.util.find_spec(library) is None:
                raise plugins.missing(ModuleNotFoundError(name=library), f"learner {cls.tier!r}")
        if options.size >> options.stages < 2:
            most = options.size.bit_length() - 2
            raise PlanError(
                f"Pictures of {options.size} pixels a side have room for {most} stages, and stages is {options.stages}. Set stages: {most}."
            )
        refused(options, next(iter(outputs.values())), cls.tier)
        precision = options.precision if options.precision != "auto" else "bf16" if machine.bf16 else "f32"
        multiplied, parameters = _size(options)
        probe = probed()
        seconds = _START_SECONDS + _EXPORT_SECONDS[options.runtime] + count * _DECODE_SECONDS / machine.cores
        seconds += options.epochs * 6 * multiplied * count / (probe * _LEARNING[precision])
        values = options.batch_for(count) * options.size**2 * options.channels
        memory, disk = _LIBRARIES_BYTES + 16 * parameters + _KEPT_A_VALUE * values, 20 * parameters + 3 * count * options.size**2
        why = f"{parameters / 1e6:.1f} M parameters, {options.size} x {options.size} pixels, {precision}, at {probe / 1e9:.0f} GFLOP/s measured now"
        return Estimate(round(seconds, 1), int(memory), int(disk), why)

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        from penjing.plugins.learners.image_network.tuning import learnt

        size = cast(NDArray, examples.inputs["pixels"]).shape[1]
        net = learnt(self.options, self.spec, examples, validation, fitting)
        self.take(net, {"pixels": np.zeros((2, size, size, 3), np.uint8)})


def _size(options: settings.Options) -> tuple[int, int]:
    """Return the multiplications that a picture takes, and the parameters."""
    multiplied, parameters = 27 * options.channels * options.size**2, 27 * options.channels
    before = options.channels
    for stage in range(options.stages):
        after, side = options.channels << stage, options.size >> (stage + 1)
        weights = 9 * (before * after + 2 * after * after)
        multiplied, parameters, before = multiplied + weights * side**2, parameters + weights, after
    return multiplied, parameters
