"""What a user may set for a transformer tier. Light: neither torch nor transformers is imported."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from penjing.plugins.learners.transformer import models
from penjing.training.regime import Regime, acting
from penjing.training.texts.pretraining_options import Pretraining

ADAPTERS = ("lora", "dora", "ia3")
DESCENDS = ("partial", "full", *ADAPTERS)
_ACTS = {
    "layers": ("partial",),
    "rank": ("lora", "dora"),
    "alpha": ("lora", "dora"),
    "targets": ADAPTERS,
    "dropout": DESCENDS,
    "mixup": DESCENDS,
}
"""Keys that act with some ways to tune alone."""


class Options(Regime):
    """A Hugging Face encoder, mean-pooled, with a linear head."""

    model: str = "all-MiniLM-L6-v2"
    """The encoder: package:NAME, path:FOLDER, hf:REPO[@REVISION], or a bare name: a packaged model, a folder, or (with a "/") one of the hub."""
    tune: Literal["frozen", "partial", "full", "lora", "dora", "ia3"] = "frozen"
    """What is learnt. frozen: the head alone. All others begin with that head (LP-FT) and go on: full with everything; partial with the upper
    layers, over states of the lower ones that are computed once; lora, dora and ia3 with adapters, which are folded into the weights."""
    layers: int | None = Field(default=None, ge=1, le=1000)
    """How many of the upper layers are tuned; left out: chosen by short trials on validation rows. Only with tune: partial."""
    rank: int = Field(default=8, ge=1, le=4096)
    """Rank of what is added to a matrix. Only with tune: lora or dora."""
    alpha: float = Field(default=16.0, gt=0, le=10_000)
    """What is added counts alpha / rank. Only with tune: lora or dora."""
    targets: list[str] = Field(default_factory=list)
    """The matrices that are adapted, by the end of their names, or [all]; left out: queries and values. Only with tune: lora, dora or ia3."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share left out by chance of what embeddings, attention and layers give, while learning. Not with tune: frozen."""
    mixup: float = Field(default=0.0, ge=0, le=10)
    """Mixes what the head is given, and the targets, of two texts, with a share from Beta(mixup, mixup); 0 mixes nothing. Not with tune: frozen."""
    pretrain: Pretraining = Pretraining()
    """Learning from the texts alone, labelled or not, before anything else: adapts the model to the language of these texts."""
    exits: list[int] = Field(default_factory=list)
    """Depths, in layers, at which a head answers early, rising: [2, 4] of six. Each becomes a tier of its own, and the next goes on from it."""
    max_tokens: int = Field(default=256, ge=8, le=131072)
    """Tokens read of a text; the rest is cut off. At most what the model has positions for."""
    runtime: Literal["openvino-runtime", "onnx-runtime", "torch-runtime"] = "openvino-runtime"
    """The engine that the learnt model is exported to."""
    unknown_tokens_at_most: float = Field(default=0.2, ge=0, le=1)
    """Share of characters in words unknown to the model's tokenizer (0 to 1) above which planning refuses the model."""

    def resolved(self) -> dict[str, Any]:
        """Return the options with the model's folder in place of its name: what the processor is given. Raises PlanError."""
        return {**self.model_dump(), "model": str(models.resolve(self.model))}

    @property
    def alone(self) -> str:
        return "has nothing but a head to learn" if self.tune == "frozen" else ""

    @model_validator(mode="after")
    def _acts(self) -> Self:
        """Refuse what would do nothing."""
        acting(self, self.tune, _ACTS, DESCENDS)
        return self
