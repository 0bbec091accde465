"""The transformer tier: any Hugging Face encoder, mean-pooled, with a linear head, frozen or fine-tuned, and with early exits when asked.

Planning stays light: torch and transformers are imported by what learns, runs and exports, not by what plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from penjing.core.examples import Examples
from penjing.core.files import read_json, write_json
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.trials import Course
from penjing.core.types import Batch, Estimate, NDArray, Row, Spec
from penjing.plugins.learners.transformer import options as settings
from penjing.plugins.learners.transformer import planning

if TYPE_CHECKING:
    from penjing.core.segments import Chain
    from penjing.training.encoder import Encoder


class Transformer:
    processor: ClassVar[str] = "tokens"
    Options: ClassVar[type[settings.Options]] = settings.Options

    def __init__(self, options: settings.Options, outputs: Mapping[str, Spec]) -> None:
        self.options, self.outputs = options, outputs
        self._encoder: Encoder | None = None
        self._exit = ""

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

    @classmethod
    def create(cls, options: settings.Options, outputs: Mapping[str, Spec]) -> Self:
        return cls(options, outputs)

    @classmethod
    def open(cls, folder: Path) -> Self:
        from penjing.training.encoder import opened

        encoder = opened(folder)
        learner = cls(settings.Options(**read_json(folder / "options.json")), {encoder.output: encoder.spec})
        learner._encoder = encoder
        return learner

    @property
    def exits(self) -> Mapping[str, Self]:
        return {} if self._encoder is None or self._exit else {name: self._stopping(name) for name in self.encoder.chain.exits}

    @property
    def encoder(self) -> Encoder:
        """What was learnt. Raises ValueError before it is."""
        if self._encoder is None:
            raise ValueError("This transformer has learnt nothing yet: call fit, or open a folder that save wrote.")
        return self._encoder

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        from penjing.plugins.learners.transformer.tuning import learnt

        self._encoder = learnt(self.options, self.outputs, examples, validation, fitting)

    def run(self, batch: Batch) -> Batch:
        return self._chain.run(batch)

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        return self._chain.layers(batch)

    def weights(self) -> Mapping[str, NDArray]:
        from penjing.training.weights import weights_of

        return weights_of(self.encoder)

    def set_weights(self, weights: Mapping[str, NDArray]) -> None:
        from penjing.training.weights import set_weights_of

        set_weights_of(self.encoder, weights)

    def save(self, folder: Path) -> None:
        self.encoder.save(folder)
        write_json(folder / "options.json", self.options.model_dump())

    def export(self, folder: Path) -> str:
        from penjing.training.exporting import exported

        exported(self.encoder, folder, self.options.runtime)
        return self.options.runtime

    @property
    def _chain(self) -> Chain:
        chain = self.encoder.chain
        return chain.exits[self._exit] if self._exit else chain

    def _stopping(self, name: str) -> Self:
        learner = type(self)(self.options, self.outputs)
        learner._encoder, learner._exit = self._encoder, name
        return learner
