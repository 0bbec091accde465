"""From trials with some of the rows to what all of them will cost. Arithmetic alone: knows no learner, no process and no clock.

A learner is tried three times in one process: cold, with few rows, which pays for what is paid once (libraries, the model's file); then warm with
as few, and warm with more. What the two warm ones differ by grows with the rows; the rest does not.

A learner that descends (a torch loop) is stopped after some steps, and their time goes with steps and tokens:

    seconds = cold(before) + rows x slope(before) + head + epochs x (steps x a + tokens x b + after) + export + answering the validation rows

where a head that is learnt before the first step takes about as long with many rows as with some.

One that does not is let run through, and its formula says how the cost grows from the larger trial to all rows: the trials calibrate it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from penjing.core.types import Estimate, NDArray

_MODEL_ERROR = 0.25
"""What the arithmetic above leaves out, as a share of the time: other lengths, checkpoints, a machine that warms up."""
_WHOLE_ERROR = 0.3
"""The same of a learner that is not seen step by step: how many rounds or passes all rows will want."""
_MEMORY_ERROR = 0.2
_KEPT = 1.1
"""Memory at the peak as a multiple of what a trial of some seconds tells: what allocators keep between pieces of many sizes grows for a while."""
_PARITY_ROWS = 256
"""Rows that the learner and the engine both answer at the hand-over."""
_TELLING_BYTES = 16 << 20
_MOST = 20_000
"""Rows that are divided into steps to see how large the largest is."""


@dataclass(frozen=True, slots=True)
class Descent:
    """What was seen of one descent in a trial: some of its steps."""

    name: str
    seconds: tuple[float, ...]
    """Of each step, in their order."""
    rows: float
    """In a step, on average."""
    tokens: float
    """In a step, on average; the rows, of what has no tokens."""

    @property
    def warm(self) -> tuple[float, ...]:
        """Seconds of the steps without the first, in which kernels are compiled and buffers are made, where there are two others."""
        return self.seconds[1:] if len(self.seconds) > 2 else self.seconds

    @property
    def step(self) -> float:
        """Seconds of a step, on average."""
        return float(np.mean(self.warm or (0.0,)))


@dataclass(frozen=True, slots=True)
class Trial:
    """One fit with some of the rows."""

    rows: int
    validation: int
    before: float
    """Seconds from the rows to the first step of the last descent, descents before it aside; all of them where nothing descends."""
    after: float
    """Seconds from the last step to the end: validation, and keeping what is best."""
    peak_bytes: int
    head: float = 0.0
    """Of the seconds before, those that hardly go with the rows: a head that is learnt takes as many passes as it takes."""
    descents: tuple[Descent, ...] = ()


@dataclass(frozen=True, slots=True)
class Trials:
    cold: Trial
    small: Trial
    large: Trial
    export: float
    """Seconds to write what is served and to open it."""
    export_bytes: int
    """Peak of memory meanwhile."""
    answering: float
    """Seconds in which the engine answers a row."""
    watts: float
    sizes: tuple[int, ...] = ()
    """Tokens of rows drawn from all of them; empty where rows have none."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Trials:
        def trial(one: Mapping[str, Any]) -> Trial:
            descents = tuple(Descent(d["name"], tuple(d["seconds"]), d["rows"], d["tokens"]) for d in one["descents"])
            return Trial(**{**one, "descents": descents})

        parts = {name: trial(told[name]) for name in ("cold", "small", "large")}
        return cls(**{**told, **parts, "sizes": tuple(told["sizes"])})


@dataclass(frozen=True, slots=True)
class Course:
    """One descent of all of the learning."""

    rows: int
    epochs: int
    batch: int
    """Rows of a step."""

    @property
    def steps(self) -> int:
        return self.epochs * math.ceil(self.rows / self.batch)


@dataclass(frozen=True, slots=True)
class Whole:
    """What all of the learning is made of."""

    rows: int
    validation: int
    courses: Sequence[Course] = ()
    """One a descent, in their order; of what was seen to descend more often the last stands for those before it too."""
    piece: float = math.inf
    """Most tokens that go through the model at once."""
    fewest_epochs: int | None = None
    """After which learning may stop by itself; None where it does not."""
    steps: bool = True
    """Whether learning goes step by step, each like the others: then the formula is not asked how the seconds grow."""
    members: int = 1
    """Tiers that answer the validation rows: the whole and its early exits."""
    divided: Callable[[NDArray, int], Sequence[NDArray]] = field(
        default=lambda sizes, batch: np.split(np.arange(len(sizes)), range(batch, len(sizes), batch))
    )
    """(tokens of each row, rows of a step) → the places of the rows of each step of an epoch."""
    formula: Callable[[int], Estimate] = field(default=lambda rows: Estimate(float(rows), 0, 0))
    """What the learner itself reckons for so many rows."""


def extrapolated(trials: Trials, whole: Whole) -> Estimate:
    """Return what `whole` will cost."""
    once, learning, spread = _seconds(trials, whole)
    seconds = once + learning
    least = once + learning * _share_at_least(whole)
    memory, unsure = _memory(trials, whole)
    large = trials.large
    seen = f"{sum(len(d.seconds) for d in large.descents)} steps" if large.descents else "a fit"
    upper = "; it may stop earlier, hence the low end" if least < seconds else ""
    return Estimate(
        round(seconds, 1),
        int(memory),
        whole.formula(whole.rows).disk_bytes,
        f"{seen} tried on {large.rows:,} of {whole.rows:,} rows, at {trials.watts:.0f} W{upper}",
        round(least / (1 + spread), 1),
        round(seconds * (1 + spread), 1),
        int(max(memory - unsure, large.peak_bytes * (1 - _MEMORY_ERROR))),
        int(memory + unsure),
        trials.watts,
        True,
    )


def _seconds(trials: Trials, whole: Whole) -> tuple[float, float, float]:
    """Return the seconds that are spent whatever learning does, those that go with epochs, and how far off they may be, as a share."""
    small, large = trials.small, trials.large
    reading = max(0.0, large.before - large.head - small.before + small.head)
    once = trials.cold.before + reading * _growth(trials, whole) + max(0.0, large.head - small.head)
    answers = whole.validation * whole.members + 2 * min(_PARITY_ROWS, whole.validation or whole.rows)
    once += trials.export + trials.answering * answers
    if not large.descents:
        return once, 0.0, _WHOLE_ERROR if large.rows < whole.rows else _MODEL_ERROR
    steps, spread = 0.0, []
    for place, (descent, course) in enumerate(_paired(large.descents, whole)):
        a_step, a_token = _pace(small.descents[place] if place < len(small.descents) else None, descent)
        tokens = course.epochs * course.rows * descent.tokens / max(descent.rows, 1)
        steps += a_step * course.steps + a_token * tokens
        once += max(0.0, descent.seconds[0] - descent.step) if descent.seconds else 0.0
        spread.append(_scatter(descent))
    more = max(0.0, large.after - small.after) / max(large.validation - small.validation, 1)
    after = large.after + more * max(0, whole.validation - large.validation)
    learning = steps + whole.courses[-1].epochs * after
    return once, learning, math.hypot(_MODEL_ERROR, max(spread))


def _growth(trials: Trials, whole: Whole) -> float:
    """Return how often the difference of the two warm trials lies between the small one and all rows."""
    small, large = trials.small.rows, trials.large.rows
    by_rows = (whole.rows - small) / max(large - small, 1)
    if whole.steps or large >= whole.rows:
        return by_rows
    few, some, all_ = (whole.formula(rows).seconds for rows in (small, large, whole.rows))
    return max(all_ - few, 0.0) / (some - few) if some - few > 0.02 * few else by_rows


def _pace(small: Descent | None, large: Descent) -> tuple[float, float]:
    """Return the seconds of a step, whatever is in it, and of a token. Two trials with steps of different sizes tell them apart."""
    took = large.step
    if small is None or not small.seconds or large.tokens < 1.5 * small.tokens:
        return 0.0, took / max(large.tokens, 1)
    a_token = (took - float(np.median(small.seconds))) / (large.tokens - small.tokens)
    a_token = min(max(a_token, 0.0), took / large.tokens)
    return took - a_token * large.tokens, a_token


def _scatter(descent: Descent) -> float:
    """Return the standard error of the mean step, as a share of it, twice."""
    if len(descent.seconds) < 2:
        return 0.5
    return float(2 * np.std(descent.warm, ddof=1) / descent.step / math.sqrt(len(descent.warm)))


def _paired(descents: Sequence[Descent], whole: Whole) -> list[tuple[Descent, Course]]:
    missing = len(descents) - len(whole.courses)
    courses = [*[whole.courses[-1]] * missing, *whole.courses[max(-missing, 0) :]]
    return list(zip(descents, courses, strict=True))


def _share_at_least(whole: Whole) -> float:
    return 1.0 if whole.fewest_epochs is None else min(1.0, whole.fewest_epochs / max(whole.courses[-1].epochs, 1))


def _memory(trials: Trials, whole: Whole) -> tuple[float, float]:
    """Return the bytes at the peak, and how far off they may be.

    Of what descends, a larger step takes more as it did from one trial to the other. The rest grows with the rows as the formula says, of what is
    not seen step by step as far as the trials do not say otherwise.
    """
    small, large = trials.small, trials.large
    few, some, all_ = (whole.formula(rows).memory_bytes for rows in (small.rows, large.rows, whole.rows))
    told = (large.peak_bytes - small.peak_bytes) / (some - few) if some - few > _TELLING_BYTES and not large.descents else 1.0
    grows = min(max(told, 0.3), 3.0) * max(all_ - some, 0)
    if large.descents:
        grows += _larger_steps(trials, whole)
    kept = _KEPT if whole.rows > large.rows else 1.0
    return max(kept * large.peak_bytes + grows, trials.export_bytes), _MEMORY_ERROR * large.peak_bytes + 0.3 * grows


def _larger_steps(trials: Trials, whole: Whole) -> float:
    """Return the bytes by which the largest step of all exceeds the largest of the trial."""
    sizes = np.asarray(trials.sizes) if trials.sizes else np.ones(1, np.int64)
    few, some, most = (_largest(sizes, whole, rows) for rows in (trials.small.rows, trials.large.rows, whole.rows))
    a_token = max(trials.large.peak_bytes - trials.small.peak_bytes, 0) / max(some - few, 1) if some > 1.2 * few else 0.0
    return a_token * max(most - some, 0)


def _largest(sizes: NDArray, whole: Whole, rows: int) -> float:
    """Return the tokens of the largest piece of an epoch over `rows` rows of such sizes."""
    places = (np.arange(min(rows, _MOST)) + 0.5) / min(rows, _MOST)
    drawn = np.sort(sizes)[(places * len(sizes)).astype(np.int64)]
    batch = max(course.batch for course in whole.courses)
    most = max(drawn[step].sum() for step in whole.divided(drawn, min(batch, rows)))
    return float(min(most, max(whole.piece, drawn.max())))
