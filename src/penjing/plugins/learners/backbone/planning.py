"""Whether a backbone tier can work here and what it will cost, before anything is spent. Light: no torch, no transformers."""

from __future__ import annotations

import importlib.util

from penjing.core import plugins
from penjing.core.learning.probe import probed
from penjing.core.machine import Machine
from penjing.core.types import Estimate
from penjing.plugins.learners.backbone import models
from penjing.plugins.learners.backbone.options import Options

_READING = {"f32": 0.2, "bf16": 0.35}
"""Multiply-adds a second of a forward pass, as a share of what the float32 probe reaches. With EfficientNet-lite0 at 64 pixels
on two cores, reading took half of what is planned by this, and tuning as much."""
_LEARNING = {"f32": 0.12, "bf16": 0.2}
"""The same of a training step, which is three forward passes' worth. Measured likewise."""
_DECODE_SECONDS = 3e-3
"""A photo, on one core."""
_START_SECONDS, _EXPORT_SECONDS = 6.0, {"openvino-runtime": 6.0, "onnx-runtime": 15.0, "torch-runtime": 1.0}
_HEAD_PASSES = 400
"""Passes over the features while the path of L2 is walked."""
_HIDDEN = 1280
_LIBRARIES_BYTES = 700 << 20
_LIBRARIES = {"openvino-runtime": ("openvino",), "onnx-runtime": ("onnx", "onnxscript", "onnxruntime"), "torch-runtime": ()}
_KEPT_A_PIXEL = 500
"""Bytes that a training step keeps for the way back, for each pixel of each picture. Reckoned for EfficientNet-lite0 (mostly at a quarter of the
side or less, many channels), 32 pictures of 224 x 224.
"""


def estimate(options: Options, machine: Machine, count: int) -> Estimate:
    """Return the cost of learning from `count` rows. Raises PlanError, or MissingLibrary with the install line."""
    model = models.described(models.resolve(options.model))
    _check_libraries(options.runtime, bool(model.described))
    size = options.size_for(model)
    precision = options.precision if options.precision != "auto" else "bf16" if machine.bf16 else "f32"
    operations, probe = 2 * model.multiplied * (size / model.size) ** 2 * count, probed()
    seconds = _START_SECONDS + _EXPORT_SECONDS[options.runtime] + count * _DECODE_SECONDS / machine.cores
    seconds += operations / (probe * _READING[precision]) + 4 * _HEAD_PASSES * count * _HIDDEN * 10 / probe
    memory, disk = _LIBRARIES_BYTES + 8 * model.parameters + 30 * count * _HIDDEN, 8 * model.parameters + count * (3 * size**2 + 4 * _HIDDEN)
    if options.tune == "full":
        seconds += options.epochs * 3 * operations / (probe * _LEARNING[precision])
        memory += 12 * model.parameters + options.batch_size * size**2 * _KEPT_A_PIXEL
        disk += 20 * model.parameters
    why = f"{model.parameters / 1e6:.1f} M parameters, {size} x {size} pixels, {precision}, at {probe / 1e9:.0f} GFLOP/s measured now"
    return Estimate(round(seconds, 1), int(memory), int(disk), why)


def _check_libraries(runtime: str, hub: bool) -> None:
    for library in ("PIL", "torch", *(("transformers",) if hub else ()), *_LIBRARIES[runtime]):
        if importlib.util.find_spec(library) is None:
            raise plugins.missing(ModuleNotFoundError(name=library), "learner 'backbone'")
