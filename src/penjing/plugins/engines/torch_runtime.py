"""Runs the encoder that the transformer learner saved, in torch itself: the reference, and the engine that is there before any export."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from penjing.core.segments import Chain
from penjing.training.encoder import opened


class TorchRuntime(Chain):
    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what the transformer learner exported. Raises RunFailed where `folder` lacks it."""
        chain = opened(folder).chain
        return cls(chain.described, chain.segments)
