"""What a user may say of the linear tier for tables. Knows nothing of how it learns."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from penjing.core.config import Section


class Options(Section):
    """A generalised additive model: a bent line for each number, a value for each category, and tables for the pairs of columns that pay."""

    bins: int = Field(128, ge=2, le=1024)
    """Most knots of a number's line."""
    crosses: int = Field(8, ge=0, le=64)
    """Most pairs of columns that are learnt together; they are kept only if they lower the loss on held-out rows. 0 for none."""
    l2: Literal["auto"] | float = "auto"
    """Penalty on half the squared values, against the summed loss of the rows; auto tries 0.03 to 30 and keeps what has the least loss on
    held-out rows.
    """
    iterations: int = Field(300, ge=1, le=10_000)
    """Most steps of the descent, each a pass over the training rows."""
    monotone: dict[str, Literal["increasing", "decreasing"]] = Field(default_factory=dict)
    """Number columns with which the answer must only rise or only fall, whatever the other columns say: the number that is predicted, or the score of
    the second of two labels, in alphabetical order. Such a column is in no pair.
    """
    max_categories: int = Field(1000, ge=1, le=100_000)
    """Most categories of a column that are told apart, the commonest; the rest are one."""
    text_features: int = Field(64, ge=0, le=1 << 16)
    """Number of features that the words of a column of free text are hashed into."""

    def resolved(self) -> dict[str, Any]:
        """Return the values as the processor is given them: numbers as they are, since knots are placed by rank."""
        return {**super().resolved(), "scale": "none"}

    @field_validator("l2")
    @classmethod
    def _not_negative(cls, value: Literal["auto"] | float) -> Literal["auto"] | float:
        if value != "auto" and not 0 <= value <= 1e9:
            raise ValueError("expected auto, or a number from 0 up, such as 3")
        return value
