"""What the tasks of a table share, whatever they answer: the usual value of every column, and reasons. Knows no columns by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from penjing.core import plugins
from penjing.core.config import Section
from penjing.core.types import Row


class Options(Section):
    """What a user may set for any task of a table."""

    reasons: int = Field(0, ge=0, le=100)
    """Columns that a prediction names as reasons for its answer, the weightiest first; 0 for none. Each column that is read is a question more
    to the model: what would it have said, had it held its usual value?"""


@dataclass(frozen=True)
class OfTable:
    """To be put before the class that says what is answered."""

    inputs: ClassVar[str] = "table"

    usual: dict[str, Any] = field(default_factory=dict)
    """The usual value of every column: a median, or what is commonest."""
    reasons: int = 0
    """As in Options."""

    @property
    def example(self) -> Row:
        return self.usual

    @classmethod
    def options_from(cls, rows: Sequence[Row], target: str, columns: Sequence[str]) -> dict[str, Any]:
        usual = plugins.load("inputs", cls.inputs).like(rows, columns)
        return {**super().options_from(rows, target, columns), "usual": usual}  # type: ignore[misc]  # of the class behind
