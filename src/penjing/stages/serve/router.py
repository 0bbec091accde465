"""How a predictor is asked in steps: a cascade row by row, as far as each needs; any other predictor whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penjing.core.cascade import Cascade
from penjing.core.flow import Flow
from penjing.core.protocols import Predictor
from penjing.core.types import Batch, Prediction, Row
from penjing.stages.serve.batcher import Model


def model_of(predictor: Predictor) -> Model:
    """Return `predictor` as the batcher asks it."""
    return Steps(predictor) if isinstance(predictor, Cascade) else Whole(predictor)


class Whole:
    """A predictor in one step."""

    steps = 1

    def __init__(self, predictor: Predictor) -> None:
        self.predict = predictor.predict

    def begin(self, rows: list[Row]) -> list[Row]:
        return rows

    def ready(self, held: list[Row]) -> Sequence[int]:
        return [1] * len(held)

    def part(self, held: list[Row], start: int, stop: int) -> list[Row]:
        return held[start:stop]

    def answer(self, held: Sequence[list[Row]]) -> list[tuple[list[Prediction | None], Any]]:
        told = iter(self.predict([row for rows in held for row in rows]))
        return [([prediction for _, prediction in zip(rows, told)], None) for rows in held]  # noqa: B905  # the batcher counts them


class Steps:
    """A cascade: rows that a step is sure of are answered, whatever becomes of those that it defers. A row is answered as by the cascade itself."""

    def __init__(self, cascade: Cascade) -> None:
        self.cascade, self.steps, self.predict = cascade, len(cascade.steps), cascade.predict

    def begin(self, rows: list[Row]) -> Flow:
        return Flow(rows)

    def ready(self, held: Flow) -> Sequence[int]:
        lengths: list[int] = self.cascade.lengths(held).tolist()
        return lengths

    def part(self, held: Flow, start: int, stop: int) -> Flow:
        whole = (start, stop) == (0, len(held.rows))
        return held if whole else held.taken(np.arange(start, stop), held.step)

    def answer(self, held: Sequence[Flow]) -> list[tuple[list[Prediction | None], Any]]:
        flow = Flow.joined(held)
        outputs, sure_B = self.cascade.advance(flow)
        places = np.flatnonzero(sure_B)
        sure: Batch = {name: np.asarray(array)[places] for name, array in outputs.items()}
        told = self.cascade.told([flow.rows[i] for i in places.tolist()], sure, np.full(len(places), flow.step)) if len(places) else []
        predictions: list[Prediction | None] = [None] * len(flow.rows)
        for place, prediction in zip(places.tolist(), told, strict=True):
            predictions[place] = prediction
        found: list[tuple[list[Prediction | None], Any]] = []
        start = 0
        for part in held:
            stop = start + len(part.rows)
            left = np.flatnonzero(~sure_B[start:stop]) + start
            found.append((predictions[start:stop], flow.taken(left, flow.step + 1) if len(left) else None))
            start = stop
        return found
