"""Chooses L2 and the pairs of columns by held-out rows, and learns the tables with them. Knows nothing of files.

Held out are the validation rows where they are enough to tell, and otherwise parts of the training rows, so that every row has its say.

Shapes: n rows, V numbers a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from penjing.core.examples import Examples
from penjing.core.protocols import Progress
from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.tabular_linear.crosses import Pair, best, candidates, left_over, worth
from penjing.plugins.learners.tabular_linear.descent import Block, Model, learn, loss_of
from penjing.plugins.learners.tabular_linear.design import Part, blocks_of, link_of, shape_of, values_a_row

L2 = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""Candidates, strongest first."""
PULLS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
"""Weights of a pair's values in L2 that are tried, strongest first."""
L2_UNTRIED = 3.0
"""Taken where there are no rows to choose by."""
ENOUGH = 500
"""Validation rows that choose by themselves."""
FOLDS = 5
FEW = 5000
"""Up to here every training row is held out once; of more, every tenth is."""
MOST = 100_000
"""Rows that the choice is made by."""
ROUNDS = 2
"""In each of them half of the pairs may be added, by what is left over after those before."""
VALUES = 60_000_000
"""Values of all rows that are learnt from at most, at 8 bytes each; rows beyond are left out by chance."""
_PATIENCE = 1
"""Candidates in a row without a better loss after which the weaker ones are left untried."""
_WEIGHING = 1e8
"""Rows that are added up, at most, to weigh pairs."""
_CALL = 10_000
"""Rows that could be added up in the time that asking for it takes."""


@dataclass(frozen=True, slots=True)
class Settings:
    l2: float | None
    """None: choose."""
    crosses: int
    iterations: int
    signs: tuple[int, ...]
    """For each number column 1 where it must not fall, -1 where it must not rise, else 0."""
    seed: int


@dataclass(frozen=True, slots=True)
class Split:
    learnt: Part
    watched: Part


@dataclass(frozen=True, slots=True)
class Tried:
    """What learning from each split came to."""

    engine: Any
    l2: float
    pull: float
    models: Sequence[Model]
    loss: float
    """Of all watched rows, a row."""


@dataclass
class Search:
    examples: Examples
    validation: Examples
    spec: Spec
    settings: Settings
    progress: Progress
    splits: Sequence[Split] = ()
    done: int = 0
    """Models learnt."""
    built: tuple[Any, Sequence[Sequence[Block]]] = field(default=(None, ()), repr=False)
    """An engine, and the learnt rows of each split as it sees them."""

    def taught(self, untaught: Any) -> Any:
        """Return the engine with what was learnt, and with tables for the pairs that paid."""
        chooses = self.settings.l2 is None or self.settings.crosses > 0
        self.splits = self._split(untaught) if chooses else []
        tried = self._penalised(untaught)
        for _ in range(ROUNDS if self.splits else 0):
            crossed = self._crossed(tried)
            if crossed.loss >= tried.loss:
                break
            tried = self._loosened(crossed)
        model = self._whole(tried)
        values = shape_of(tried.engine, self.settings.signs, tried.pull).values(model.parameters)
        return replace(tried.engine, values=values.astype(np.float32), bias=model.bias.astype(np.float32))

    def _penalised(self, untaught: Any) -> Tried:
        """Return the best of the candidates for L2, without pairs."""
        start = [_blank(untaught)] * len(self.splits)
        l2s: Sequence[float] = L2 if self.settings.l2 is None else (self.settings.l2,)
        if not self.splits:
            return Tried(untaught, L2_UNTRIED if self.settings.l2 is None else self.settings.l2, PULLS[0], start, np.inf)
        return self._path(untaught, [(l2, PULLS[0]) for l2 in l2s], start)

    def _crossed(self, tried: Tried) -> Tried:
        """Return what comes of half the pairs that may be added, the best by what is left over."""
        more = self._pairs(tried)
        if not more:
            return replace(tried, loss=np.inf)
        wider = widened(tried.engine, more)
        pulls = [tried.pull] if len(tried.engine.pairs) else PULLS
        return self._path(wider, [(tried.l2, pull) for pull in pulls], tried.models)

    def _loosened(self, tried: Tried) -> Tried:
        """Return `tried`, or what is better with a weaker L2: what pairs say need no longer be held against single columns."""
        weaker = [(l2, tried.pull) for l2 in L2 if l2 < tried.l2 and self.settings.l2 is None]
        loosened = self._path(tried.engine, weaker, tried.models) if weaker else tried
        return min(tried, loosened, key=lambda t: t.loss)

    def _path(self, engine: Any, candidates: Sequence[tuple[float, float]], start: Sequence[Model]) -> Tried:
        """Return the best of the candidates (L2, pull), each started from the one before."""
        found: Tried | None = None
        waited = 0
        for l2, pull in candidates:
            tried = self._try(engine, l2, pull, start)
            start = tried.models
            if found is None or tried.loss < found.loss:
                found, waited = tried, 0
            elif (waited := waited + 1) > _PATIENCE:
                break
        assert found is not None  # noqa: S101  # there is at least one candidate
        return found

    def _try(self, engine: Any, l2: float, pull: float, start: Sequence[Model]) -> Tried:
        if self.built[0] is not engine:
            self.built = engine, [blocks_of(engine, split.learnt, self.spec) for split in self.splits]
        models = [self._learn(engine, l2, pull, blocks, model) for blocks, model in zip(self.built[1], start, strict=True)]
        return Tried(engine, l2, pull, models, self._loss(engine, pull, models))

    def _learn(self, engine: Any, l2: float, pull: float, blocks: Sequence[Block], start: Model) -> Model:
        shape = shape_of(engine, self.settings.signs, pull)
        model = learn(blocks, shape, link_of(self.spec), l2, _wider(start, engine), self.settings.iterations)
        self.done += 1
        self.progress.advance(1)
        return model

    def _loss(self, engine: Any, pull: float, models: Sequence[Model]) -> float:
        total = weight = 0.0
        for split, model in zip(self.splits, models, strict=True):
            values = shape_of(engine, self.settings.signs, pull).values(model.parameters).astype(np.float32)
            for block in blocks_of(engine, split.watched, self.spec):
                logits = block.rows @ values + model.bias.astype(np.float32)
                total += loss_of(logits, block.target, block.weight, link_of(self.spec))
                weight += float(block.weight.sum(dtype=np.float64))
        return total / max(weight, 1e-9)

    def _pairs(self, tried: Tried) -> list[Pair]:
        """Return the pairs that are worth most, none of them of a column that must rise or fall."""
        engine, signs = tried.engine, self.settings.signs
        shape = shape_of(engine, signs, tried.pull)
        learnt = [
            (s, shape.values(m.parameters).astype(np.float32), m.bias.astype(np.float32)) for s, m in zip(self.splits, tried.models, strict=True)
        ]
        left = [tuple(left_over(engine, values, bias, part, self.spec) for part in (s.learnt, s.watched)) for s, values, bias in learnt]
        entries = engine.find(self.splits[0].watched.examples.batch(self.splits[0].watched.indices)[0]).entries
        spread = {c: float(learnt[0][1][entries[:, c]].var(axis=0).sum()) for c in range(len(engine.heights)) if c >= len(signs) or not signs[c]}
        rows = sum(len(a.levels) + len(b.levels) + 2 * _CALL for a, b in left)
        known = {(int(a), int(b)) for a, b in engine.pairs}
        asked = candidates(sorted(spread, key=lambda c: (-spread[c], c)), int(_WEIGHING / (rows * len(engine.bias))))
        count = min(-(-self.settings.crosses // ROUNDS), self.settings.crosses - len(known))
        held_back = PULLS[2] * tried.l2
        return best(
            [pair for pair in asked if pair not in known],
            lambda pair: sum(worth(pair, engine.heights, a, b, held_back) for a, b in left),
            count,
        )

    def _whole(self, tried: Tried) -> Model:
        """Return the model that learns from all rows, or from as many as there is room for."""
        everything = Part(self.examples, sampled(len(self.examples), VALUES // max(values_a_row(tried.engine), 1), self.settings.seed))
        start = tried.models[0] if self.splits else _blank(tried.engine)
        if len(self.splits) == 1 and len(self.splits[0].learnt) == len(everything):
            return start
        self.built = None, ()
        if len(everything) < len(self.examples):
            self.progress.say(
                f"The tabular-linear tier learns from {len(everything):,} of the {len(self.examples):,} training rows, drawn by chance."
            )
        return self._learn(tried.engine, tried.l2, tried.pull, blocks_of(tried.engine, everything, self.spec), start)

    def _split(self, engine: Any) -> list[Split]:
        """Return what to learn from and to choose by; nothing where there is nothing to choose by."""
        seed, room = self.settings.seed, VALUES // max(values_a_row(engine), 1)
        rows = sampled(len(self.examples), min(MOST, room), seed)
        if len(self.validation) >= ENOUGH:
            return [Split(Part(self.examples, rows), Part(self.validation, sampled(len(self.validation), min(MOST // 2, room), seed)))]
        if len(rows) < 2:
            return []
        parts, used = (min(FOLDS, len(rows)), FOLDS) if len(rows) < FEW else (10, 1)
        part = np.random.default_rng(seed).permutation(len(rows)) % parts
        return [Split(Part(self.examples, rows[part != i]), Part(self.examples, rows[part == i])) for i in range(min(parts, used))]


def sampled(n: int, most: int, seed: int) -> NDArray:
    """Return the numbers of at most `most` of n rows, rising."""
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def widened(engine: Any, pairs: Sequence[Pair]) -> Any:
    """Return an engine with tables for `pairs` too, all zero."""
    wider = replace(engine, pairs=np.concatenate([engine.pairs, np.array(pairs, np.int32).reshape(-1, 2)]))
    return replace(wider, values=np.zeros((int(wider.lengths.sum()), len(engine.bias)), np.float32))


def _blank(engine: Any) -> Model:
    return Model(np.zeros(engine.values.shape), np.zeros(engine.bias.shape))


def _wider(model: Model, engine: Any) -> Model:
    """Return `model` with parameters of zero for the entries that `engine` has beyond it."""
    more = len(engine.values) - len(model.parameters)
    return Model(np.concatenate([model.parameters, np.zeros((more, len(model.bias)))]), model.bias)
