"""How a torch learner descends: the options that all of them share. Light: torch is not imported.

A learner's own Options inherit from it and give the defaults that suit it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from penjing.core.config import Section
from penjing.core.errors import ConfigError, PlanError
from penjing.core.types import Spec

PASSES = 3
"""Forward passes' worth of products that a step is: one forward, two back (Kaplan et al. 2020, section 2.1)."""


class Regime(Section):
    """One descent."""

    epochs: int = Field(default=3, ge=1, le=10_000)
    """Times, at most, that learning goes through the training rows; the best by validation loss, once calibrated, is kept."""
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    """Highest step of the optimizer."""
    batch_size: int = Field(default=32, ge=1, le=65_536)
    """Rows in one step."""
    optimizer: Literal["adamw", "adam", "sgd", "momentum", "rmsprop", "lion"] = "adamw"
    """The rule of a step. lion is sign-SGD with momentum (Chen et al. 2023) and wants a learning_rate three to ten times smaller."""
    schedule: Literal["linear", "constant", "step", "exponential", "cosine", "plateau"] = "linear"
    """How the step size falls after warm-up: in a line or half a cosine to zero, to a tenth after each third of the steps (step), to a hundredth in
    all (exponential), to half after each epoch without a better validation loss (plateau), or not at all (constant)."""
    warm_up: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps in which the step size rises in a line."""
    weight_decay: float = Field(default=0.01, ge=0, le=10)
    """L2: what every step takes from matrices, as a share of the step size for adamw and lion; added to the gradient for the others."""
    l1: float = Field(default=0.0, ge=0, le=1)
    """Weight of the sum of absolute values of matrices beside the loss."""
    clip: float = Field(default=1.0, ge=0)
    """Longest gradient of a step (its L2 norm); 0 lets it be as long as it is."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target given to all classes alike (Szegedy et al. 2016, section 7); of softmax and of yes-and-no answers."""
    average: Literal["none", "ema", "swa"] = "none"
    """What is kept of the weights: as they are, their moving average (ema), or their mean over the last quarter of the steps (swa; Izmailov et al.
    2018)."""
    ema_decay: float = Field(default=0.99, gt=0, lt=1)
    """Share of the moving average that stays at each step. Only with average: ema."""
    patience: int = Field(default=10_000, ge=1, le=10_000)
    """Epochs in a row without a better validation loss after which learning stops."""
    precision: Literal["auto", "f32", "bf16"] = "auto"
    """Number format of matrix products while learning; auto is bf16 where the processor is quick at it. Serving is f32."""
    piece: int = Field(default=2048, ge=64, le=10_000_000)
    """Tokens (rows, of what has none) that go through the model at once: a step of more is done in pieces, whose gradients add up. Bounds memory."""
    checkpointing: bool = False
    """Compute the inside of each layer again on the way back instead of keeping it: less memory, about a third more time."""

    @property
    def alone(self) -> str:
        """Why one worker learns it, in words that follow the tier's name; nothing where several can."""
        return ""


def acting(options: Regime, tune: str, ways: Mapping[str, Sequence[str]], descends: Sequence[str]) -> None:
    """Refuse keys of a tier that would do nothing with its way to tune: a default may stand, anything else was meant to act.

    ways: key → the ways with which it acts; descends: those with which the keys of a regime do. Raises ValueError of a ConfigError, for pydantic.
    """
    of_descent = dict.fromkeys((name for name in Regime.model_fields if name != "precision"), descends)
    for name, acts in (of_descent | dict(ways)).items():
        if tune not in acts and getattr(options, name) != type(options).model_fields[name].get_default(call_default_factory=True):
            raise ValueError(ConfigError(f"{name} does nothing with tune: {tune}; it acts with {', '.join(acts)}. Leave it out."))


def refused(regime: Regime, spec: Spec, tier: str, undivided: int = 0, checkpointing: str = "") -> None:
    """Refuse what `regime` asks for and could not have: for planners. Raises PlanError.

    undivided: rows of a step that cannot be cut into pieces; 0 where it can. checkpointing: why this tier cannot compute anything again; empty
    where it can.
    """
    default = type(regime).model_fields
    if regime.label_smoothing and spec.link == "identity":
        raise PlanError(f"The {tier} tier learns numbers here, which have no classes to smooth over. Leave label_smoothing out.")
    if regime.ema_decay != default["ema_decay"].default and regime.average != "ema":
        raise PlanError(f"The {tier} tier keeps no moving average, and ema_decay is {regime.ema_decay:g}. Set average: ema, or leave ema_decay out.")
    if undivided > regime.piece:
        raise PlanError(
            f"The {tier} tier cannot cut its steps of {undivided} rows into pieces of {regime.piece}, since it norms by what a batch holds. "
            f"Set batch_size: {regime.piece}, or piece: {undivided}."
        )
    if regime.checkpointing and checkpointing:
        raise PlanError(f"The {tier} tier {checkpointing}. Leave checkpointing out; a smaller piece needs less memory too.")
