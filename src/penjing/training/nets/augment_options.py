"""How strongly training images are changed: the config section that learners of images share. Needs no library."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from penjing.core.config import Section

Share = Annotated[float, Field(ge=0, le=1)]


class AugmentConfig(Section):
    """How training images are changed, each anew in every epoch; what is chosen, and how far it goes, is drawn by chance within these bounds."""

    flip: bool = True
    """Whether half of the images are mirrored, left to right. Not for letters, digits, or where left and right mean something."""
    crop: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """How far images are moved at most, up or down and left or right, as a share of the side (0 to 0.5); what comes in is mirrored at the edge."""
    scale: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much larger or smaller images become at most (0 to 1): 0.25 is from four fifths to five fourths of their size."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """How far images are turned at most, in degrees to either side."""
    brightness: Share = 0.0
    """How much brighter or darker images become at most (0 to 1)."""
    contrast: Share = 0.0
    """How much contrast images gain or lose at most (0 to 1)."""
    saturation: Share = 0.0
    """How much colour images gain or lose at most (0 to 1)."""
    blur: Annotated[float, Field(ge=0, le=5)] = 0.0
    """Standard deviation of the blur at most, in pixels (0 to 5)."""
    noise: Share = 0.0
    """Standard deviation of the noise at most, as a share of the range from black to white (0 to 1)."""
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Strength of mixing images and their answers with those of others (alpha of Zhang et al. 2018; 0 is off, 0.2 usual)."""
    cutmix: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Strength of putting a rectangle of another image into each, and its answer likewise (alpha of Yun et al. 2019; 0 is off, 1 usual).
    With mixup as well, each image gets the one or the other."""
