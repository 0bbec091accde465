"""What a user may say of the linear tier. Knows nothing of how it learns."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from penjing.core.config import Section
from penjing.core.errors import ConfigError


class Options(Section):
    word_ngrams: int = Field(2, ge=0, le=5)
    """Longest run of words that counts as a feature; 0 for none."""
    char_ngrams: tuple[int, int] | None = (4, 4)
    """Shortest and longest run of characters within a word that counts as a feature; null for none (smaller and quicker)."""
    buckets: int = Field(1 << 21, ge=1 << 10, le=1 << 26)
    """Number of buckets that features are hashed into; fewer is smaller, and confuses more of them."""
    l2: Literal["auto"] | float = "auto"
    """Penalty on half the squared weights, against the summed loss of the rows (scikit-learn's 1 / C); auto tries sixteenfold to 1/4096 on held-out rows."""
    epochs: int = Field(200, ge=1, le=10_000)
    """Most passes over the training rows."""

    @model_validator(mode="after")
    def _possible(self) -> Options:
        if self.char_ngrams is None and self.word_ngrams == 0:
            raise ValueError("there is nothing to learn from: set word_ngrams or char_ngrams")
        if self.char_ngrams is not None and not 2 <= self.char_ngrams[0] <= self.char_ngrams[1] <= 10:
            raise ValueError(f"char_ngrams is {list(self.char_ngrams)}: expected [shortest, longest], from 2 to 10, the shortest first")
        if self.l2 != "auto" and not 0 < self.l2 < 1e12:
            raise ValueError(f"l2 is {self.l2}: expected 'auto' or a number above 0, such as 1.0")
        return self
