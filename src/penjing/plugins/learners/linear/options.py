"""What a user may say of the linear tier. Knows nothing of how it learns."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from penjing.core.config import Section


class Options(Section):
    """A generalised linear model on hashed word and character n-grams."""

    word_ngrams: int = Field(2, ge=0, le=5)
    """Longest run of words that counts as a feature; 0 for none."""
    char_ngrams: tuple[int, int] | None = (4, 4)
    """Shortest and longest run of characters within a word that counts as a feature; null for none (smaller and quicker)."""
    buckets: int = Field(1 << 21, ge=1 << 10, le=1 << 26)
    """Number of buckets that features are hashed into; fewer is smaller, and confuses more of them."""
    learning_rate: Literal["auto"] | float = "auto"
    """Size of the first steps; auto tries 0.3 and 1.0, with few rows 0.1 too, and keeps what has the least loss on held-out rows."""
    l2: float = Field(1e-5, ge=0)
    """Penalty on half the squared weights of the features in a batch, against the mean loss of its rows."""
    epochs: int = Field(5, ge=1, le=1000)
    """Passes over the training rows."""

    @field_validator("char_ngrams")
    @classmethod
    def _rising(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 2 <= value[0] <= value[1] <= 10:
            raise ValueError("expected [shortest, longest], from 2 to 10, the shortest first")
        return value

    @field_validator("learning_rate")
    @classmethod
    def _positive(cls, value: Literal["auto"] | float) -> Literal["auto"] | float:
        if value != "auto" and not 0 < value <= 100:
            raise ValueError("expected auto, or a number above 0 and up to 100, such as 0.3")
        return value

    @model_validator(mode="after")
    def _something(self) -> Options:
        if self.char_ngrams is None and self.word_ngrams == 0:
            raise ValueError("there is nothing to learn from: set word_ngrams or char_ngrams")
        return self
