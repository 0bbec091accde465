"""What several tiers say of a row → one calibrated answer. Applies; stages/calibrate/fitting.py finds the weights.

A blend is a small generalised linear model over the tiers' own answers (stacking, Wolpert 1992). With one tier it is that tier, calibrated.

Shapes: B rows, K tiers, W width of the output, P knots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from penjing.core.statistics import probabilities
from penjing.core.types import Link, NDArray

Method = Literal["none", "temperature", "vector", "isotonic"]
_LEAST = 1e-9
_SLOPE = 1e-3
"""Share of the identity in the isotonic function, so that it rises everywhere and no two answers become equal."""


@dataclass(frozen=True)
class Blend:
    """Tiers' logits → calibrated logits."""

    tiers: tuple[str, ...]
    link: Link
    method: Method
    weights: NDArray
    """(K, W) or (K, 1) float64, of the logits in their standard form."""
    bias: NDArray
    """(W,) float64."""
    knots: NDArray | None = None
    """(2, P) float64: probabilities, rising, and what they become; None where they stay."""

    @property
    def name(self) -> str:
        return "+".join(self.tiers)

    def apply(self, said: Mapping[str, NDArray]) -> NDArray:
        """Return (B, W) float32 from the logits (B, W) of each tier."""
        logits = sum((standard(said[tier], self.link) * w for tier, w in zip(self.tiers, self.weights, strict=True)), self.bias[None])
        return np.asarray(logits if self.knots is None else _mapped(logits, self.link, self.knots), np.float32)

    def described(self) -> dict[str, Any]:
        """Return it as JSON; `read` gives it back to the bit."""
        knots = None if self.knots is None else self.knots.tolist()
        return {"tiers": list(self.tiers), "method": self.method, "weights": self.weights.tolist(), "bias": self.bias.tolist(), "knots": knots}

    @classmethod
    def read(cls, described: Mapping[str, Any], link: Link) -> Blend:
        knots = None if described["knots"] is None else np.asarray(described["knots"], np.float64)
        weights, bias = (np.asarray(described[name], np.float64) for name in ("weights", "bias"))
        return cls(tuple(described["tiers"]), link, described["method"], weights, bias, knots)


def standard(logits: NDArray, link: Link) -> NDArray:
    """Return (B, W) float64 logits in a form that does not depend on how they were shifted: log-probabilities for softmax."""
    logits = np.asarray(logits, np.float64)
    if link != "softmax":
        return logits
    shifted_BW = logits - logits.max(axis=1, keepdims=True, initial=-np.inf)
    result: NDArray = shifted_BW - np.log(np.exp(shifted_BW).sum(axis=1, keepdims=True))
    return result


def plain(tiers: Sequence[str], width: int, link: Link) -> Blend:
    """Return the mean of the tiers' logits; of one tier, what it says."""
    return Blend(tuple(tiers), link, "none", np.full((len(tiers), 1), 1 / len(tiers)), np.zeros(width))


def _mapped(logits_BW: NDArray, link: Link, knots: NDArray) -> NDArray:
    shares_BW = probabilities(logits_BW, link)
    mapped_BW = (1 - _SLOPE) * np.interp(shares_BW, *knots) + _SLOPE * shares_BW
    mapped_BW = np.clip(mapped_BW, _LEAST, 1 - _LEAST)
    return np.log(mapped_BW) if link == "softmax" else np.log(mapped_BW / (1 - mapped_BW))
