"""What a user may set for a network over tables. Light: torch is not imported."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penjing.training.regime import Regime


class Options(Regime):
    """A network over the columns of a table: an MLP, or a Transformer in which every column is a token."""

    architecture: Literal["mlp", "ft-transformer"] = "mlp"
    """mlp is quick; ft-transformer (Gorishniy et al. 2021) takes several times as long, and is at times better."""
    width: int | None = Field(default=None, ge=8, le=4096)
    """Units of a layer, for ft-transformer a multiple of 8; left out: 256 of an MLP, 64 of a Transformer."""
    layers: int = Field(default=3, ge=1, le=64)
    """Layers, one after the other."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of the units that each step of learning leaves out at chance (0 to 1)."""
    mixup: float = Field(default=0.0, ge=0, le=10)
    """Strength of mixing what the last layer is given of a row, and its answer, with those of another (manifold mixup; alpha of Verma et al. 2019;
    0 is off)."""
    epochs: int = Field(default=20, ge=1, le=10_000)
    """Times, at most, that learning goes through the training rows; the best by validation loss, once calibrated, is kept."""
    patience: int = Field(default=5, ge=1, le=10_000)
    """Epochs in a row without a better validation loss after which learning stops."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Highest step of the optimizer."""
    batch_size: int | None = Field(default=None, ge=1, le=65_536)  # type: ignore[assignment]  # chosen before it is handed on
    """Rows in one step; left out: 256, and fewer of few rows, so that an epoch has a hundred steps or the step sixteen rows."""
    runtime: Literal["openvino-runtime", "onnx-runtime", "torch-runtime"] = "openvino-runtime"
    """The engine that the learnt network is exported to."""
    scale: Literal["z", "min-max", "quantile"] = "quantile"
    """How numbers are brought to one scale: by mean and spread, by least and most, or by their rank among the training rows."""
    max_categories: int = Field(default=1000, ge=1, le=1_000_000)
    """Categories of a column that are told apart, the most frequent ones; all others are one."""
    text_features: int = Field(default=64, ge=1, le=65536)
    """Numbers that a column of free text becomes."""

    @property
    def units(self) -> int:
        """The width, chosen where it is left out."""
        return self.width or {"mlp": 256, "ft-transformer": 64}[self.architecture]

    def rows_a_step(self, count: int) -> int:
        """Return the batch size for `count` training rows, chosen where it is left out."""
        return self.batch_size or max(16, min(256, count // 100))
