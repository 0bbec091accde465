"""What a user may say of the boosted-trees tier. Knows nothing of how it learns."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from penjing.core.config import Section


class Options(Section):
    """Gradient-boosted decision trees (LightGBM)."""

    trees: int = Field(1000, ge=1, le=100_000)
    """Most rounds; each grows a tree, for more than two classes one a class."""
    patience: int = Field(50, ge=1, le=10_000)
    """Rounds without a lower loss on held-out rows after which it stops; the round with the lowest is kept."""
    learning_rate: float = Field(0.05, gt=0, le=1)
    """Share of what each tree says that is believed (0 to 1); less asks for more rounds."""
    leaves: int = Field(31, ge=2, le=4096)
    """Most leaves of a tree."""
    min_rows_in_leaf: int = Field(20, ge=1)
    """Fewest training rows in a leaf, about."""
    l2: float = Field(0.0, ge=0)
    """Penalty on half the squared value of a leaf, in rows of weight 1."""
    feature_share: float = Field(1.0, gt=0, le=1)
    """Share of the columns that each tree may ask, drawn anew for each (0 to 1)."""
    row_share: float = Field(1.0, gt=0, le=1)
    """Share of the training rows that each tree learns from, drawn anew for each (0 to 1)."""
    monotone: dict[str, Literal["increasing", "decreasing"]] = Field(default_factory=dict)
    """Numeric columns along which the answer may only rise or only fall, all else equal: the number, or the chance of the second of two
    classes."""
    search: int = Field(0, ge=0, le=1000)
    """How many other settings of learning_rate, leaves, min_rows_in_leaf, l2, feature_share and row_share are tried, drawn at random; the one with
    the lowest loss on held-out rows is kept. Each takes as long as the first."""
    max_categories: int = Field(1000, ge=1, le=100_000)
    """Most categories of a column that are told apart; rarer ones count as one."""
    text_features: int = Field(64, ge=1, le=4096)
    """Columns that a column of free text becomes."""

    def resolved(self) -> dict[str, Any]:
        """Numbers are left as they are, missing ones too: a tree asks only which of two is larger."""
        return {**self.model_dump(mode="json"), "scale": "none"}
