"""One label for each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from penjing.core import plugins
from penjing.core.one_label import OneLabel
from penjing.core.types import Row


@dataclass(frozen=True)
class ImageClassification(OneLabel):
    inputs: ClassVar[str] = "image"

    @property
    def example(self) -> Row:
        like: Row = plugins.load("inputs", self.inputs).like([], self.columns)
        return like
