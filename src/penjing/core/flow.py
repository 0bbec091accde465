"""Rows on their way through a cascade: what tiers have said of them, and what was computed that the next one can go on from.

Rows of several askers that have come equally far can be joined, go on together, and be told apart again by their places.

Shapes: B rows, W width of the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from penjing.core.protocols import Processor
from penjing.core.tier import Tier
from penjing.core.types import Batch, NDArray, Ragged, Row, concatenate, take


@dataclass
class Flow:
    """Rows that have no answer yet, and what is known of them."""

    rows: Sequence[Row]
    step: int = 0
    """Number of the cascade's step that they have come to."""
    said: dict[str, NDArray] = field(default_factory=dict)
    """(B, W) logits of each tier that has run."""
    encoded: list[tuple[Processor, Batch]] = field(default_factory=list)
    """Each processor with what it made of the rows."""
    states: dict[str, Batch] = field(default_factory=dict)
    """What a tier's early exits have computed, to be gone on with."""

    def batch(self, processor: Processor) -> Batch:
        """Return what `processor` makes of the rows; it is asked once."""
        for known, batch in self.encoded:
            if known == processor:
                return batch
        self.encoded.append((processor, processor.encode(self.rows)))
        return self.encoded[-1][1]

    def lengths(self, processor: Processor) -> NDArray:
        """Return (B,) int64: values of the longest sequence that `processor` makes of each row; 1 where it makes none."""
        ragged = [array.lengths for array in self.batch(processor).values() if isinstance(array, Ragged)]
        return np.maximum(np.max(ragged, axis=0), 1) if ragged else np.ones(len(self.rows), np.int64)

    def ask(self, tier: Tier, output: str) -> None:
        """Have `tier` say what it makes of the rows, from where an early exit of it has come."""
        whole = tier.whole or tier.name
        outputs = tier.engine.run({**self.batch(tier.processor), **self.states.get(whole, {})})
        self.said[tier.name] = np.asarray(outputs[output])
        self.states[whole] = {name: array for name, array in outputs.items() if name not in tier.task.outputs}

    def taken(self, which: NDArray, step: int) -> Flow:
        """Return the rows at `which`, come to `step`."""
        return Flow(
            [self.rows[i] for i in which],
            step,
            {name: logits[which] for name, logits in self.said.items()},
            [(processor, take(batch, which)) for processor, batch in self.encoded],
            {whole: take(state, which) for whole, state in self.states.items() if state},
        )

    @classmethod
    def joined(cls, flows: Sequence[Flow]) -> Flow:
        """Return the rows of flows that have come to the same step, one after the other."""
        first = flows[0]
        if len(flows) == 1:
            return first
        return cls(
            [row for flow in flows for row in flow.rows],
            first.step,
            {name: np.concatenate([flow.said[name] for flow in flows]) for name in first.said},
            [(processor, concatenate([flow.batch(processor) for flow in flows])) for processor, _ in first.encoded],
            {whole: concatenate([flow.states[whole] for flow in flows]) for whole, state in first.states.items() if state},
        )
