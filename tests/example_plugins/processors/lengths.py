"""The length of each text: the worked example of a processor in CONTRIBUTING.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from penjing.core.types import Batch, Row


@dataclass(frozen=True)
class Lengths:
    inputs: ClassVar[str] = "text"

    columns: list[str]
    longest: int
    """Characters of the longest training text."""

    @classmethod
    def options_from(cls, rows: Sequence[Row], columns: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
        return {"columns": list(columns), "longest": max(len(str(row.get(c) or "")) for row in rows for c in columns)}

    def encode(self, rows: Sequence[Row]) -> Batch:
        lengths = [[len(str(row.get(c) or "")) / max(1, self.longest) for c in self.columns] for row in rows]
        return {"lengths": np.array(lengths, np.float32).reshape(len(rows), len(self.columns))}
