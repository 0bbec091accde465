"""What a runtime opens: a chain of segments over tokens, or a plain graph over rectangular arrays. `engine.json` says which it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from penjing.core.graphs.plain import Plain, is_plain
from penjing.core.graphs.segments import Chain
from penjing.core.types import Batch, NDArray


class Runtime:
    """An engine; a runtime adds how each of the two is opened."""

    def __init__(self, opened: Chain | Plain) -> None:
        self.opened = opened

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what a learner exported. Raises RunFailed where `folder` lacks it."""
        return cls(cls.plain(folder) if is_plain(folder) else cls.chain(folder))

    @classmethod
    def chain(cls, folder: Path) -> Chain:
        raise NotImplementedError

    @classmethod
    def plain(cls, folder: Path) -> Plain:
        raise NotImplementedError

    @property
    def exits(self) -> Mapping[str, Chain]:
        """The early exits by name, the shallowest first; a plain graph has none."""
        return self.opened.exits if isinstance(self.opened, Chain) else {}

    def run(self, batch: Batch) -> Batch:
        return self.opened.run(batch)

    def work(self, batch: Batch) -> float:
        return self.opened.work(batch)

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield each step that `run(batch)` takes and its values."""
        return self.opened.layers(batch)
