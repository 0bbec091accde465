"""What a user may set for an image-network tier."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penjing.training.nets.augment_options import AugmentConfig
from penjing.training.regime import Regime


class Options(Regime):
    """A small convolutional net, learnt from nothing but the training rows."""

    size: int = Field(32, ge=16, le=512)
    """Pixels a side that pictures are brought to. Twice of it costs four times the time."""
    fit: Literal["crop", "stretch", "pad"] = "crop"
    """How a picture that is no square becomes one: its middle is cut out, it is stretched, or bars are added."""
    channels: int = Field(32, ge=8, le=512, multiple_of=8)
    """Channels of the first stage, a multiple of 8; each stage has twice those of the one before."""
    stages: int = Field(3, ge=1, le=6)
    """Stages, each of which halves the side; the side must be 2 at least after the last."""
    epochs: int = Field(20, ge=1, le=1000)
    """Most times that learning goes through the training rows; the best by validation loss, once calibrated, is kept."""
    patience: int = Field(5, ge=1, le=1000)
    """Epochs in a row without a better validation loss after which learning stops."""
    learning_rate: float = Field(2e-3, gt=0, le=1)
    """Highest step of the optimizer."""
    batch_size: int | None = Field(None, ge=1, le=4096)  # type: ignore[assignment]  # chosen before it is handed on
    """Rows in one step; where not given a hundredth of the training rows, from 16 to 64: few rows need the more steps."""
    weight_decay: float = Field(0.05, ge=0, le=10)
    """L2: what every step takes from matrices, as a share of the step size for adamw and lion; added to the gradient for the others."""
    augment: AugmentConfig = AugmentConfig()
    """Changes to training pictures by chance; mirrored and cropped unless said otherwise. Whether a mirrored picture still shows the same depends
    on what is asked."""
    runtime: Literal["openvino-runtime", "onnx-runtime", "torch-runtime"] = "openvino-runtime"
    """The engine that the learnt model is exported to."""

    def batch_for(self, count: int) -> int:
        """Return the rows in one step, of `count` training rows."""
        return self.batch_size or max(16, min(64, count // 100))
