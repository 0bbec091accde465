"""Runs the encoder that the transformer learner saved, in torch itself: the reference, and the engine that is there before any export."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from penjing.core.types import Batch
from penjing.training.encoder import Encoder, opened


class TorchRuntime:
    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @classmethod
    def open(cls, folder: Path) -> Self:
        return cls(opened(folder))

    def run(self, batch: Batch) -> Batch:
        return self._encoder.run(batch)
