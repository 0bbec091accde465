"""A learner whose net is an Encoder: all of it but planning and learning. Light: torch is imported by what runs, not by what plans.

Layout of a folder: `options.json` beside what `Encoder.save` writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from penjing.core.config import Section
from penjing.core.errors import RunFailed
from penjing.core.files import read_json, write_json
from penjing.core.learning.learnt import only
from penjing.core.types import Batch, NDArray, Spec

if TYPE_CHECKING:
    from penjing.core.graphs.segments import Chain
    from penjing.training.texts.encoder import Encoder


class EncoderLearner:
    """`fit` sets `encoder`."""

    tier: ClassVar[str]
    """Its name in messages."""
    Options: ClassVar[type[Section]]

    def __init__(self, options: Any, outputs: Mapping[str, Spec]) -> None:
        self.options, self.outputs = options, outputs
        self._encoder: Encoder | None = None

    @classmethod
    def create(cls, options: Any, outputs: Mapping[str, Spec]) -> Self:
        """Raises PlanError for more than one output."""
        only(cls.tier, outputs)
        return cls(options, outputs)

    @classmethod
    def open(cls, folder: Path) -> Self:
        from penjing.training.texts.encoder import opened

        encoder = opened(folder)
        learner = cls(cls.Options(**read_json(folder / "options.json")), {encoder.output: encoder.spec})
        learner.encoder = encoder
        return learner

    @property
    def encoder(self) -> Encoder:
        """What was learnt. Raises RunFailed before it is."""
        if self._encoder is None:
            raise RunFailed(f"The {self.tier} tier has not learnt yet. Call fit first.")
        return self._encoder

    @encoder.setter
    def encoder(self, encoder: Encoder) -> None:
        self._encoder = encoder

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
        write_json(folder / "options.json", self.options.model_dump(mode="json"))

    def export(self, folder: Path) -> str:
        from penjing.training.texts.exporting import exported

        runtime: str = self.options.runtime
        exported(self.encoder, folder, runtime)
        return runtime

    @property
    def _chain(self) -> Chain:
        """What answers."""
        return self.encoder.chain
