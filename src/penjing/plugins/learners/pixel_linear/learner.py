"""The first tier for pictures: a generalised linear model on pooled pixels and edges, there in seconds. Knows nothing of files or formats.

Shapes: N training rows, M validation rows, F features, C numbers a row.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np

from penjing.core import plugins
from penjing.core.examples import Examples
from penjing.core.learning.learnt import ServedAsLearnt
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Estimate, NDArray, Row, Spec
from penjing.plugins.learners.pixel_linear import options as settings
from penjing.training import wide_heads

_CHUNK = 4096
_DECODE_SECONDS, _ENCODE_SECONDS = 3e-3, 1.2e-4
"""A row, on one core: from a file of a photo to pixels, and from there to features."""
_PASSES = 400
"""Passes over the features while the path of L2 is walked."""
_MULTIPLIED_A_SECOND = 3e9
_BASE_BYTES = 220 << 20


class PixelLinear(ServedAsLearnt):
    """Learns the weights; a `pooled-linear` engine runs them, here and when served."""

    tier, runtime = "pixel-linear", "pooled-linear"
    processor: ClassVar[str] = "pixels"
    Options: ClassVar[type[settings.Options]] = settings.Options
    options: settings.Options

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Raises PlanError for more than one output, MissingLibrary where nothing can decode pictures."""
        spec = cls.create(options, outputs).spec
        if importlib.util.find_spec("PIL") is None:
            raise plugins.missing(ModuleNotFoundError(name="PIL"), f"learner {cls.tier!r}")
        features = plugins.load("engines", cls.runtime).features
        learning = 2 * _PASSES * count * features * spec.width / (_MULTIPLIED_A_SECOND * machine.cores)
        seconds = 1 + count * (_DECODE_SECONDS / machine.cores + _ENCODE_SECONDS) + learning
        memory, disk = _BASE_BYTES + 20 * count * features, count * options.size**2 * 3 + 4 * features * spec.width
        return Estimate(round(seconds, 1), int(memory), int(disk), f"{features:,} features of {options.size} x {options.size} pixels")

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. A killed fit starts again and comes to the same weights."""
        width = self.spec.width
        blank = self._engine(np.zeros((plugins.load("engines", self.runtime).features, width), np.float32), np.zeros(width, np.float32))
        fitting.progress.start("pooling pixels", len(examples) + len(validation))
        train_NF, validation_MF = (_rows(blank, part, fitting) for part in (examples, validation))
        fitting.progress.finish()
        targets = np.asarray(examples.target), np.asarray(validation.target)
        weight = None if examples.weight is None else np.asarray(examples.weight)
        head = wide_heads.learn(train_NF, targets[0], validation_MF, targets[1], width, self.spec.link, weight=weight)
        self.engine = self._engine(np.ascontiguousarray(head.weight.T, np.float32), head.bias.astype(np.float32))

    def _engine(self, weights: NDArray, bias: NDArray) -> Any:
        return plugins.load("engines", self.runtime)(weights, bias, self.output)


def _rows(engine: Any, examples: Examples, fitting: Fitting) -> NDArray:
    """Return (N, F) float32, the rows as the engine sees them, read a few thousand at a time."""
    out_NF = np.empty((len(examples), engine.features), np.float32)
    for start in range(0, len(examples), _CHUNK):
        places = np.arange(start, min(start + _CHUNK, len(examples)))
        out_NF[places] = engine.rows({"pixels": cast(NDArray, examples.inputs["pixels"])[places]})
        fitting.progress.advance(len(places))
    return out_NF
