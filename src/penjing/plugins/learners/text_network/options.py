"""What a user may set for a text network that begins from nothing. Light: torch is not imported."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penjing.training.regime import Regime
from penjing.training.texts.pretraining_options import Pretraining


class FromNothing(Pretraining):
    """Learning the language of the texts before the task, by a network that knows none."""

    objective: Literal["none", "masked", "causal"] = "masked"
    """What is learnt: nothing, to guess tokens that are hidden (masked), or always the next token (causal)."""
    epochs: int = Field(default=10, ge=1, le=10_000)
    """Times, at most, that it goes through the texts; the best by a tenth of the texts, which are held out, is kept."""
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    """Highest step of AdamW, reached after a tenth of the steps and then brought down to zero in a line."""
    batch_size: int = Field(default=16, ge=1, le=65_536)
    """Texts in one step."""
    share: float = Field(default=0.3, gt=0, lt=1)
    """Share of a text's tokens that it has to guess: more than BERT's 0.15, as a small network sees few texts. Only with objective: masked."""


class Options(Regime):
    """A network over pieces of words, learnt from the user's texts alone: no model is fetched."""

    architecture: Literal["transformer", "lstm", "gru", "cnn", "mlp"] = "transformer"
    """transformer: a small BERT; lstm, gru: recurrent; cnn: gated convolutions over five tokens; mlp: layers over the mean of all tokens."""
    width: int = Field(default=128, ge=8, le=4096)
    """Units of a token's state; of a transformer a multiple of 32."""
    layers: int = Field(default=2, ge=1, le=48)
    """Layers, one after the other."""
    bidirectional: bool = True
    """Whether an lstm or a gru reads every text from its end too; needs an even width. A transformer and a cnn see both sides anyway."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the units that each step of learning the task leaves out at chance (0 to 1)."""
    max_tokens: int = Field(default=128, ge=8, le=65_536)
    """Tokens read of a text; the rest is cut off."""
    vocabulary: int = Field(default=8192, ge=260, le=1_000_000)
    """Tokens that are told apart, at most: 256 bytes, 4 special ones, and the pieces of words that stand in the training texts most often."""
    pretrain: FromNothing = FromNothing()
    """What is learnt from the texts alone, the unlabelled ones too, before the task."""
    epochs: int = Field(default=30, ge=1, le=10_000)
    """Times, at most, that learning goes through the training rows; the best by validation loss, once calibrated, is kept."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Highest step of the optimizer."""
    patience: int = Field(default=8, ge=1, le=10_000)
    """Epochs in a row without a better validation loss after which learning stops."""
    runtime: Literal["openvino-runtime", "onnx-runtime", "torch-runtime"] = "openvino-runtime"
    """The engine that the learnt network is exported to."""
