"""Several workers that learn one model together, as a learner sees them. The implementation is in training/; alone is the default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from penjing.core.types import NDArray


class Workers(Protocol):
    """All of them run the same code over the same examples; each learns from its share of every step."""

    rank: int
    """The number of this one; 0 is the one that writes."""
    count: int

    def share(self, rows: NDArray) -> NDArray:
        """Return the part of the rows of a step that this worker learns from; the shares of all are the rows, each once."""

    def add(self, tensors: Sequence[Any]) -> None:
        """Replace every torch tensor, in place, by its sum over the workers."""

    def copy(self, tensors: Sequence[Any]) -> None:
        """Replace every torch tensor, in place, by that of worker 0."""

    def wait(self) -> None:
        """Wait until all are here."""


class Alone:
    """One worker."""

    rank, count = 0, 1

    def share(self, rows: NDArray) -> NDArray:
        return rows

    def add(self, tensors: Sequence[Any]) -> None: ...

    def copy(self, tensors: Sequence[Any]) -> None: ...

    def wait(self) -> None: ...


ALONE = Alone()
