"""The text-network tier: a transformer, an LSTM, a GRU, a CNN or an MLP over pieces of words, learnt from nothing but the user's texts.

Planning stays light: torch and transformers are imported by what learns, runs and exports, not by what plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from penjing.core.examples import Examples
from penjing.core.learning.learnt import only
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.text_network import options as settings
from penjing.plugins.learners.text_network import planning
from penjing.training.texts.learner import EncoderLearner


class TextNetwork(EncoderLearner):
    processor: ClassVar[str] = "subwords"
    tier: ClassVar[str] = "text-network"
    Options: ClassVar[type[settings.Options]] = settings.Options

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Raises PlanError for what cannot be, such as a width that heads cannot share, MissingLibrary without torch or the runtime."""
        only(cls.tier, outputs)
        return planning.estimate(options, rows, columns, outputs, machine, count)

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. Raises DataError with too few texts for pre-training, RunFailed where learning diverges."""
        from penjing.plugins.learners.text_network.learning import learnt

        self.encoder = learnt(self.options, self.outputs, examples, validation, fitting)
