"""What a user may set for a transformer tier. Light: neither torch nor transformers is imported."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from penjing.core.config import Section
from penjing.plugins.learners.transformer import models


class Options(Section):
    """A Hugging Face encoder, mean-pooled, with a linear head."""

    model: str = "all-MiniLM-L6-v2"
    """The encoder: package:NAME, path:FOLDER, hf:REPO[@REVISION], or a bare name: a packaged model, a folder, or (with a "/") one of the hub."""
    tune: Literal["frozen", "full"] = "frozen"
    """What is learnt: the head alone over a frozen encoder, or the head first and then everything (LP-FT)."""
    epochs: int = Field(default=3, ge=1, le=1000)
    """Times that fine-tuning goes through the training rows; the best by validation loss, once calibrated, is kept. Only with tune: full."""
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    """Highest step of AdamW, reached after a tenth of the steps and then brought down to zero in a line. The default suits small encoders;
    those of a hundred million parameters and more want 2e-5 to 5e-5. Only with tune: full."""
    exits: list[int] = Field(default_factory=list)
    """Depths, in layers, at which a head answers early, rising: [2, 4] of six. Each becomes a tier of its own, and the next goes on from it."""
    batch_size: int = Field(default=32, ge=1, le=4096)
    """Rows in one step of fine-tuning. Only with tune: full."""
    max_tokens: int = Field(default=256, ge=8, le=131072)
    """Tokens read of a text; the rest is cut off. At most what the model has positions for."""
    precision: Literal["auto", "f32", "bf16"] = "auto"
    """Number format of matrix products while learning; auto is bf16 where the processor is quick at it. Serving is f32."""
    runtime: Literal["openvino-runtime", "onnx-runtime", "torch-runtime"] = "openvino-runtime"
    """The engine that the learnt model is exported to."""
    unknown_tokens_at_most: float = Field(default=0.2, ge=0, le=1)
    """Share of characters in words unknown to the model's tokenizer (0 to 1) above which planning refuses the model."""

    def resolved(self) -> dict[str, Any]:
        """Return the options with the model's folder in place of its name: what the processor is given. Raises PlanError."""
        return {**self.model_dump(), "model": str(models.resolve(self.model))}
