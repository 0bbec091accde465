"""How a body learns a language before it learns a task: the options that learners of texts share. Light: torch is not imported."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penjing.core.config import Section
from penjing.training.regime import Regime


class Pretraining(Section):
    """Learning from texts alone, without answers: those of the training rows and, where there are any, the unlabelled ones."""

    objective: Literal["none", "masked", "causal"] = "none"
    """What is learnt: nothing, to guess tokens that are hidden (masked), or always the next token (causal)."""
    epochs: int = Field(default=3, ge=1, le=10_000)
    """Times, at most, that it goes through the texts; the best by a tenth of the texts, which are held out, is kept."""
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    """Highest step of AdamW, reached after a tenth of the steps and then brought down to zero in a line."""
    batch_size: int = Field(default=32, ge=1, le=65_536)
    """Texts in one step."""
    share: float = Field(default=0.15, gt=0, lt=1)
    """Share of a text's tokens that it has to guess. Only with objective: masked."""

    def regime(self, precision: str, piece: int) -> Regime:
        """Return how it descends."""
        given = {"epochs": self.epochs, "learning_rate": self.learning_rate, "batch_size": self.batch_size}
        return Regime.model_validate({**given, "precision": precision, "piece": piece})
