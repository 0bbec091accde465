"""The transformer tier: any Hugging Face encoder, mean-pooled, with a linear head, frozen or fine-tuned, and with early exits when asked.

Planning stays light: torch and transformers are imported by what learns, runs and exports, not by what plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

from penjing.core.examples import Examples
from penjing.core.learning.trials import Course
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.transformer import options as settings
from penjing.plugins.learners.transformer import planning
from penjing.training.texts.learner import EncoderLearner

if TYPE_CHECKING:
    from penjing.core.graphs.segments import Chain


class Transformer(EncoderLearner):
    processor: ClassVar[str] = "tokens"
    tier: ClassVar[str] = "transformer"
    Options: ClassVar[type[settings.Options]] = settings.Options

    options: settings.Options
    _exit = ""
    """The exit that answers; empty for the whole."""

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Raises PlanError where the model's folder, its positions or its tokenizer do not serve, MissingLibrary without torch."""
        return planning.estimate(options, rows, columns, outputs, machine, count)

    @classmethod
    def courses(cls, options: settings.Options, count: int) -> list[Course]:
        """Return the descents that learning from `count` rows is made of."""
        return planning.courses(options, count, planning.layers_of(options))

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        from penjing.plugins.learners.transformer.tuning import learnt

        self.encoder = learnt(self.options, self.outputs, examples, validation, fitting)

    @property
    def exits(self) -> Mapping[str, Self]:
        return {} if self._encoder is None or self._exit else {name: self._stopping(name) for name in self.encoder.chain.exits}

    @property
    def _chain(self) -> Chain:
        chain = self.encoder.chain
        return chain.exits[self._exit] if self._exit else chain

    def _stopping(self, name: str) -> Self:
        learner = type(self)(self.options, self.outputs)
        learner._encoder, learner._exit = self._encoder, name
        return learner
