"""The backbone tier: a model that has learnt from many pictures, with a linear head, frozen or fine-tuned.

Planning stays light: torch and transformers are imported by what learns, runs and exports, not by what plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

import numpy as np

from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Estimate, NDArray, Row, Spec
from penjing.plugins.learners.backbone import options as settings
from penjing.plugins.learners.backbone import planning
from penjing.training.nets.learner import NetLearner
from penjing.training.regime import refused


class Backbone(NetLearner):
    tier = "backbone"
    processor: ClassVar[str] = "pixels"
    Options: ClassVar[type[settings.Options]] = settings.Options
    options: settings.Options

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Raises PlanError where the model or its size does not serve, MissingLibrary where torch, transformers or Pillow is absent."""
        spec = cls.create(options, outputs).spec
        if options.tune == "full":
            refused(options, spec, cls.tier)
        return planning.estimate(options, machine, count)

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        from penjing.plugins.learners.backbone.tuning import learnt

        net = learnt(self.options, self.spec, examples, validation, fitting)
        size = cast(NDArray, examples.inputs["pixels"]).shape[1]
        self.take(net, {"pixels": np.zeros((2, size, size, 3), np.uint8)})
