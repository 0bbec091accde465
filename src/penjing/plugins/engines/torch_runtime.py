"""Runs the encoder that the transformer learner saved, in torch itself: the reference, and the engine that is there before any export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from penjing.core.segments import Chain
from penjing.core.types import Batch, NDArray
from penjing.training.encoder import opened


class TorchRuntime:
    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what the transformer learner exported. Raises RunFailed where `folder` lacks it."""
        return cls(opened(folder).chain)

    @property
    def exits(self) -> Mapping[str, Self]:
        return {name: type(self)(chain) for name, chain in self._chain.exits.items()}

    def run(self, batch: Batch) -> Batch:
        return self._chain.run(batch)

    def work(self, batch: Batch) -> float:
        return self._chain.work(batch)

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        return self._chain.layers(batch)
