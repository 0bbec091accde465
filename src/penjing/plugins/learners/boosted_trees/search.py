"""Which settings are tried, and on which rows they are judged. Knows nothing of how trees are grown.

Held out are the validation rows where they are enough to tell, and otherwise a part of the training rows beside them; the trees are then grown anew
from all training rows, for as many rounds as were best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penjing.core.examples import Examples
from penjing.core.types import Batch, NDArray, concatenate
from penjing.plugins.learners.boosted_trees.options import Options

ENOUGH = 500
"""Validation rows that judge by themselves."""
_FEW = 10
"""Training rows up to which none is held out."""
_MOST_HELD_OUT = 20_000

_RATES, _LEAVES, _ROWS, _L2 = (0.02, 0.05, 0.1), (7, 15, 31, 63, 127), (5, 10, 20, 50, 100), (0.0, 0.1, 1.0, 10.0)
_SHARES = (0.5, 0.7, 0.85, 1.0)


@dataclass(frozen=True, slots=True)
class Split:
    learnt: Examples
    held_out: Examples | None
    """None where rows are too few to hold any out."""
    whole: bool
    """Whether `learnt` are all training rows."""


def split(examples: Examples, validation: Examples, seed: int) -> Split:
    """Return what to learn from and what to judge by."""
    if len(validation) >= ENOUGH:
        return Split(examples, validation, True)
    if len(examples) < _FEW:
        return Split(examples, validation if len(validation) else None, True)
    order = np.random.default_rng(seed).permutation(len(examples))
    apart = min(len(examples) // 5, _MOST_HELD_OUT)
    held_out, learnt = (_part(examples, np.sort(chosen)) for chosen in (order[:apart], order[apart:]))
    return Split(learnt, _both(held_out, validation) if len(validation) else held_out, False)


def candidates(options: Options, seed: int) -> list[Options]:
    """Return the user's own settings and `options.search` others, drawn at random."""
    random = np.random.default_rng(seed)
    drawn = [options]
    for _ in range(options.search):
        learning_rate, leaves, rows, l2 = (random.choice(values).item() for values in (_RATES, _LEAVES, _ROWS, _L2))
        shares = {"feature_share": random.choice(_SHARES).item(), "row_share": random.choice(_SHARES).item()}
        drawn.append(options.model_copy(update={"learning_rate": learning_rate, "leaves": leaves, "min_rows_in_leaf": rows, "l2": l2, **shares}))
    return drawn


def _part(examples: Examples, chosen: NDArray) -> Examples:
    return Examples(*examples.batch(chosen), None if examples.weight is None else examples.weights(chosen))


def _both(one: Examples, other: Examples) -> Examples:
    inputs: Batch = concatenate([one.inputs, other.inputs])
    weighed = one.weight is not None or other.weight is not None
    weight = np.concatenate([part.weights(np.arange(len(part))) for part in (one, other)]) if weighed else None
    return Examples(inputs, np.concatenate([one.target, other.target]), weight)
