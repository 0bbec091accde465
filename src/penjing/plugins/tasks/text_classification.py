"""One label for each text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from penjing.core.one_label import OneLabel
from penjing.core.types import Row


@dataclass(frozen=True)
class TextClassification(OneLabel):
    inputs: ClassVar[str] = "text"

    @property
    def example(self) -> Row:
        return dict.fromkeys(self.columns, "An example text of a usual length, to see what comes back.")
