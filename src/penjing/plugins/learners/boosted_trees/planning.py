"""Whether a boosted-trees tier can work here and what it will cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence

from penjing.core.errors import PlanError, nearest
from penjing.core.types import Estimate, Spec
from penjing.plugins.learners.boosted_trees.options import Options
from penjing.plugins.learners.boosted_trees.search import ENOUGH

_ROW_NS, _BIN_NS, _TREE_NS = 20.0, 6.0, 500_000
"""Time of a tree on one core: for each row, each value, and in any case. Measured on an AMD EPYC of 2.6 GHz, with busy neighbours."""
_ROUNDS = 400
"""Rounds until held-out rows say stop, at a learning rate of 0.05; fewer in most cases."""
_BASE_BYTES = 240 << 20
_JUDGED_APART = 10 * ENOUGH
"""Training rows up to which, with the usual share of validation rows, a part is held out and the trees are grown a second time, from all."""
_NODE_BYTES = 60


def estimate(options: Options, columns: int, spec: Spec, cores: int, count: int) -> Estimate:
    """Return the cost of learning from `count` rows of so many columns."""
    rounds = min(options.trees, int(_ROUNDS * 0.05 / options.learning_rate) + options.patience)
    a_round = 1 if spec.link == "softmax" and spec.width == 2 else spec.width
    trees = rounds * a_round * (1 + options.search + (count < _JUDGED_APART))
    seconds = trees * (_TREE_NS + (_ROW_NS + _BIN_NS * columns) * count / cores) / 1e9
    memory = _BASE_BYTES + count * (columns * 6 + 40 + 24 * a_round) + rounds * a_round * options.leaves * 4 * _NODE_BYTES
    disk = count * columns * 4 + rounds * a_round * options.leaves * _NODE_BYTES
    return Estimate(round(1 + seconds, 1), int(memory), int(disk), f"{columns} columns, about {trees} trees")


def constraints(options: Options, numbers: Sequence[str], codes: Sequence[str], spec: Spec) -> list[int]:
    """Return for each column 1 to rise, -1 to fall, 0 for neither; empty for none at all.

    Raises PlanError for a column that is unknown or no number, and for answers that neither rise nor fall.
    """
    if not options.monotone:
        return []
    if (spec.link, spec.width) not in (("softmax", 2), ("identity", 1)):
        raise PlanError(
            f"The boosted-trees tier cannot hold 'monotone' here: of {spec.width} answers none is the one that rises. "
            "It works for two classes or one number; take 'monotone' out."
        )
    for name in options.monotone:
        if name in codes:
            raise PlanError(f"The column {name!r} holds categories, which have no order, so 'monotone' cannot name it. Take it out.")
        if name not in numbers:
            raise PlanError(f"There is no numeric column {name!r} for 'monotone'. {nearest(name, numbers)}")
    signs = {"increasing": 1, "decreasing": -1}
    return [signs[options.monotone[name]] if name in options.monotone else 0 for name in numbers] + [0] * len(codes)
