"""The text-network tier: a transformer, an LSTM, a GRU, a CNN or an MLP over pieces of words, learnt from nothing but the user's texts.

Planning stays light: torch and transformers are imported by what learns, runs and exports, not by what plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.files import read_json, write_json
from penjing.core.learnt import only
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Batch, Estimate, NDArray, Row, Spec
from penjing.plugins.learners.text_network import options as settings
from penjing.plugins.learners.text_network import planning

if TYPE_CHECKING:
    from penjing.training.encoder import Encoder


class TextNetwork:
    processor: ClassVar[str] = "subwords"
    Options: ClassVar[type[settings.Options]] = settings.Options

    def __init__(self, options: settings.Options, outputs: Mapping[str, Spec]) -> None:
        self.options, self.outputs = options, outputs
        self._encoder: Encoder | None = None

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Raises PlanError for what cannot be, such as a width that heads cannot share, MissingLibrary without torch or the runtime."""
        only("text-network", outputs)
        return planning.estimate(options, rows, columns, outputs, machine, count)

    @classmethod
    def create(cls, options: settings.Options, outputs: Mapping[str, Spec]) -> Self:
        """Raises PlanError for more than one output."""
        only("text-network", outputs)
        return cls(options, outputs)

    @classmethod
    def open(cls, folder: Path) -> Self:
        from penjing.training.encoder import opened
        from penjing.training.text_bodies import TextBody  # noqa: F401  # makes its model type one that can be opened

        encoder = opened(folder)
        learner = cls(settings.Options(**read_json(folder / "options.json")), {encoder.output: encoder.spec})
        learner._encoder = encoder
        return learner

    @property
    def encoder(self) -> Encoder:
        """What was learnt. Raises RunFailed before it is."""
        if self._encoder is None:
            raise RunFailed("The text-network tier has not learnt yet. Call fit first.")
        return self._encoder

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. Raises DataError with too few texts for pre-training, RunFailed where learning diverges."""
        from penjing.plugins.learners.text_network.learning import learnt

        self._encoder = learnt(self.options, self.outputs, examples, validation, fitting)

    def run(self, batch: Batch) -> Batch:
        return self.encoder.chain.run(batch)

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        return self.encoder.chain.layers(batch)

    def save(self, folder: Path) -> None:
        self.encoder.save(folder)
        write_json(folder / "options.json", self.options.model_dump(mode="json"))

    def export(self, folder: Path) -> str:
        from penjing.training.exporting import exported

        exported(self.encoder, folder, self.options.runtime)
        return self.options.runtime
