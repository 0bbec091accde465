"""The settings that a cascade could have, from the most careful to the boldest, found on validation rows. Knows arrays; proves nothing.

A step answers a row when its risk, the loss against the reference that isotonic regression expects at that confidence, is at most a level
that all steps share: of two steps the cheaper answers wherever it is as safe. Raising the level gives the path.

Shapes: B rows, S cheap steps, G groups of answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from penjing.core.cascade import NEVER
from penjing.core.types import NDArray

LEVELS = 40
"""Settings on a path, at most: evenly spaced in the share of answers that they let through."""
FEW = 30
"""Rows of a group below which it takes the threshold of all rows."""
_TIE = 1e-6
"""Slope of the risk within a run of equal expected losses, so that surer rows come first."""


@dataclass(frozen=True, slots=True)
class Said:
    """One cheap step's answers to the validation rows."""

    confidence: NDArray
    """(B,) in 0..1."""
    loss: NDArray
    """(B,) what the reference would have got right more: 1 lost, -1 gained, or a share of an answer."""
    group: NDArray
    """(B,) int64 of the answer; all zero where one threshold serves all."""
    groups: int


def risk(said: Said) -> NDArray:
    """Return (B,) the loss expected of each row at its confidence: falling as confidence rises, and ordered within equal losses."""
    out_B = _risk(said.confidence, said.loss)
    for group in range(said.groups) if said.groups > 1 else ():
        inside = np.flatnonzero(said.group == group)
        if len(inside) >= FEW:
            out_B[inside] = _risk(said.confidence[inside], said.loss[inside])
    return out_B


def _risk(confidence_B: NDArray, loss_B: NDArray) -> NDArray:
    order = np.lexsort((loss_B, confidence_B))  # equal confidences: rising, so that they become equal risks
    expected_B = np.empty(len(order))
    expected_B[order] = isotonic_regression(loss_B[order], increasing=False).x
    rank_B = np.searchsorted(confidence_B[order], confidence_B, side="right") / max(len(order), 1)
    result: NDArray = expected_B + _TIE * (1 - rank_B)
    return result


def path(steps: Sequence[Said]) -> list[list[NDArray]]:
    """Return the settings, each the (1,) or (G,) thresholds of every step, the most careful first and none twice."""
    risks = [risk(said) for said in steps]
    levels = np.unique(np.quantile(np.concatenate(risks), np.linspace(0, 1, LEVELS), method="inverted_cdf"))
    settings: list[list[NDArray]] = []
    for level in levels:
        setting = [_thresholds(said, risk_B, level) for said, risk_B in zip(steps, risks, strict=True)]
        if not settings or any(not np.array_equal(a, b) for a, b in zip(setting, settings[-1], strict=True)):
            settings.append(setting)
    return settings


def _thresholds(said: Said, risk_B: NDArray, level: float) -> NDArray:
    """Return the least confidence at which the risk is at most `level`, for each group."""
    overall = _least(said.confidence, risk_B, level)
    out_G = np.full(said.groups, overall)
    for group in range(said.groups) if said.groups > 1 else ():
        inside = said.group == group
        if inside.sum() >= FEW:
            out_G[group] = _least(said.confidence[inside], risk_B[inside], level)
    return out_G


def _least(confidence_B: NDArray, risk_B: NDArray, level: float) -> float:
    safe = risk_B <= level
    if not safe.any():
        return NEVER
    return 0.0 if safe.all() else float(confidence_B[safe].min())
