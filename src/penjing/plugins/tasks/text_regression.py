"""A number for each text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from penjing.core.one_number import OneNumber
from penjing.core.types import Row


@dataclass(frozen=True)
class TextRegression(OneNumber):
    inputs: ClassVar[str] = "text"

    @property
    def example(self) -> Row:
        return dict.fromkeys(self.columns, "An example text of a usual length, to see what comes back.")
