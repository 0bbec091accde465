"""What a user may set for a pixel-linear tier."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penjing.core.config import Section


class Options(Section):
    """A linear model on pooled pixels and the directions of edges."""

    size: int = Field(32, ge=32, le=512, multiple_of=32)
    """Pixels a side that a picture is brought to, a multiple of 32. The model sees means over 32 x 32 squares: more smooths, and costs time."""
    fit: Literal["crop", "stretch", "pad"] = "crop"
    """How a picture that is no square becomes one: its middle is cut out, it is stretched, or bars are added."""
