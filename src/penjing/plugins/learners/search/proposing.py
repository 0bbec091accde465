"""Which settings are tried next, and which trial is behind: Optuna's samplers and pruners over what was found so far. Knows no learner.

Each proposal comes from a study of its own, made of the trials before it and a seed of its own: a search that was killed and goes on proposes what
an undisturbed one would have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from penjing.core.learning.inner import Inner, seed_of
from penjing.plugins.learners.search.options import Range, Space, whole

_RANDOM = 10
"""Trials, at most, that are drawn at random before any is proposed; of few trials a third."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One that has ended."""

    values: dict[str, Any]
    """Of the options that are varied; empty for the settings as they were given."""
    loss: float | None
    """On the rows it was judged by; None where it failed."""
    curve: dict[int, float]
    """Validation loss after each epoch that was told."""
    behind: bool = False
    """Whether it was stopped since others did better."""
    why: str = ""
    """Of one that failed, what was said."""


class Proposal:
    """One trial that is being learnt."""

    def __init__(self, of: Inner, space: Space, before: Sequence[Trial], trials: int, full_trials: int, seed: int) -> None:
        self.curve: dict[int, float] = {}
        self.behind = False
        distributions = {key: _distribution(of, key, choice) for key, choice in space.items()}
        number = len(before)
        with _quietly():
            self._study = optuna.create_study(
                sampler=optuna.samplers.TPESampler(seed=seed_of(seed, number) % 2**32, n_startup_trials=max(1, min(_RANDOM, trials // 3))),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=full_trials, n_warmup_steps=0),
            )
            for trial in before:
                self._study.add_trial(_frozen(trial, space, distributions, of))
            self._trial = self._study.ask(distributions)
        drawn = {key: choice[self._trial.params[key]] if isinstance(choice, list) else self._trial.params[key] for key, choice in space.items()}
        self.values: dict[str, Any] = drawn if number else {}

    def told(self, epoch: int, loss: float) -> None:
        """Note the validation loss after so many epochs, and whether it is behind the median of the trials before."""
        if epoch in self.curve or not math.isfinite(loss):
            return
        self.curve[epoch] = float(loss)
        with _quietly():
            self._trial.report(self.curve[epoch], epoch)
            self.behind = self.behind or bool(self._trial.should_prune())


def _distribution(of: Inner, key: str, choice: Range | list[Any]) -> BaseDistribution:
    if not isinstance(choice, Range):
        return CategoricalDistribution(range(len(choice)))  # by number: a choice may be anything that YAML can say
    if whole(of, key, choice):
        return IntDistribution(int(choice.low), int(choice.high), log=choice.log)
    return FloatDistribution(float(choice.low), float(choice.high), log=choice.log)


def _frozen(trial: Trial, space: Space, distributions: Mapping[str, BaseDistribution], of: Inner) -> optuna.trial.FrozenTrial:
    """Return `trial` as Optuna keeps it: without its values where they lie outside the space, as those given may, but for its curve's sake."""
    values = trial.values or {key: getattr(of.options, key) for key in space}
    inside = all(_inside(values[key], choice) for key, choice in space.items())
    internal = {key: choice.index(values[key]) if isinstance(choice, list) else values[key] for key, choice in space.items()} if inside else {}
    state = TrialState.FAIL if trial.loss is None else TrialState.PRUNED if trial.behind else TrialState.COMPLETE
    return optuna.trial.create_trial(
        state=state,
        value=None if state != TrialState.COMPLETE else trial.loss,
        params=internal,
        distributions=dict(distributions) if inside else {},
        intermediate_values=trial.curve,
    )


def _inside(value: Any, choice: Range | list[Any]) -> bool:
    if isinstance(choice, list):
        return value in choice
    return isinstance(value, int | float) and not isinstance(value, bool) and choice.low <= value <= choice.high


@contextmanager
def _quietly() -> Iterator[None]:
    """Optuna tells every study and trial on the terminal, where the progress is."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
