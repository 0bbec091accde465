"""Says when what a cascade relies on looks wrong: rows that are unlike those it was proved on, and confidences that say nothing.

A promise proved on some rows holds for rows like them. Whether two sets of rows are alike is tested by what the same predictor says of both.

Shapes: B and A rows of two splits, W width of the output.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp, mannwhitneyu

from penjing.core.cascade import output_of
from penjing.core.protocols import Task
from penjing.core.types import NDArray

STRANGE = 0.001
"""p-value below which a difference is worth a sentence: a run makes several such tests, and false alarms teach people to look away."""
SURE = 0.05
"""p-value of "confidence is no higher where the answer is right" above which confidence is not shown to tell anything."""
FEW = 5
"""Right and wrong answers, or rows of a class, below which nothing is said."""
EXACT = 100
"""Rows up to which the exact distribution is used, since the asymptotic one is wrong by far on a few."""


def unlike(task: Task, here: str, here_BW: NDArray, there: str, there_AW: NDArray) -> list[str]:
    """Return sentences about how the answers to two sets of rows differ: which classes they are, and how sure."""
    name, spec = output_of(task)
    if min(len(here_BW), len(there_AW)) < FEW:
        return []
    found = []
    if spec.link == "softmax" and (p := _classes(here_BW.argmax(axis=1), there_AW.argmax(axis=1), spec.width)) < STRANGE:
        found.append(f"the {there} rows are answered with other classes than the {here} rows (p = {p:.1g})")
    p = _sureness(task.confidence({name: here_BW}), task.confidence({name: there_AW}))
    if p < STRANGE:
        found.append(f"the answers to the {there} rows are not as sure as those to the {here} rows, or surer (p = {p:.1g})")
    return [f"Unlike rows: {sentence}. What was proved on the one need not hold for the other: look at how they were divided." for sentence in found]


def uninformative(task: Task, tier: str, logits_BW: NDArray, credit_B: NDArray) -> list[str]:
    """Return a sentence where `tier` is no surer of its right answers than of its wrong ones (one-sided Mann-Whitney test)."""
    name, _ = output_of(task)
    confidence_B, right_B = task.confidence({name: logits_BW}), credit_B >= 1
    if min(right_B.sum(), (~right_B).sum()) < FEW or np.ptp(confidence_B) == 0:
        return []
    p = float(mannwhitneyu(confidence_B[right_B], confidence_B[~right_B], alternative="greater").pvalue)
    if p <= SURE:
        return []
    return [f"The confidence of {tier} is not shown to tell its right answers from its wrong ones (p = {p:.2f}), so no threshold on it can help."]


def _sureness(here_B: NDArray, there_A: NDArray) -> float:
    """Return the p-value of both being equally sure (Kolmogorov-Smirnov test; scipy warns of many rows where it is asked for the exact one)."""
    method: Literal["exact", "asymp"] = "exact" if max(len(here_B), len(there_A)) <= EXACT else "asymp"
    return float(ks_2samp(here_B, there_A, method=method).pvalue)


def _classes(here_B: NDArray, there_A: NDArray, width: int) -> float:
    """Return the p-value of both being drawn from the same classes (chi-squared test of homogeneity; rare classes together)."""
    counts = np.stack([np.bincount(here_B, minlength=width), np.bincount(there_A, minlength=width)])
    common = counts.sum(axis=0) >= 2 * FEW
    table = np.column_stack([counts[:, common], counts[:, ~common].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    return float(chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0
