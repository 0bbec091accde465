"""What a user may say of a search for settings. Light: optuna is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from penjing.core.config import Section, check
from penjing.core.errors import ConfigError, nearest
from penjing.core.learning.inner import Inner
from penjing.plugins.learners.search.spaces import SPACES

COMPOSITES = ("search", "ensemble")
"""Learners made of learners."""


class Range(Section):
    """Numbers to draw from; whole ones where the option is a whole number."""

    low: int | float
    """The least."""
    high: int | float
    """The most."""
    log: bool = False
    """Whether each power of ten is as likely as the next, which suits what spans several of them."""

    @model_validator(mode="after")
    def _rising(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"expected low below high, found {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"expected low above 0 with log: true, found {self.low}")
        return self

    def values(self) -> list[int | float]:
        """Return the two ends."""
        return [self.low, self.high]


Space = Mapping[str, Range | list[Any]]


class Options(Section):
    """Another learner, with the best of many settings by validation loss (Optuna's tree-structured Parzen estimator, Bergstra et al. 2011)."""

    of: Inner
    """The learner whose settings are searched, with those that stay as they are: {learner: boosted-trees, trees: 500}. They are the first trial."""
    space: dict[str, Range | list[Any]] = Field(default_factory=dict)
    """What is varied: option: {low: 0.01, high: 0.3, log: true}, or option: [15, 31, 63]. Left out: what is usual for the learner. Options that
    change how rows are read cannot be varied: rows are read once."""
    trials: int = Field(default=20, ge=1, le=10_000)
    """Settings that are tried, at most; fewer where the budget ends before."""
    full_trials: int = Field(default=5, ge=1, le=10_000)
    """Trials learnt to their end before one is stopped when an epoch of it stands behind the median of the others (Golovin et al. 2017, section
    3.2.2). Only of learners that tell a validation loss as they go."""

    @field_validator("space", mode="before")
    @classmethod
    def _spelt(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {str(key): _choice(str(key), one) for key, one in value.items()}

    @model_validator(mode="after")
    def _possible(self) -> Options:
        if self.of.learner in COMPOSITES:
            raise ValueError(f"{self.of.learner!r} is a learner of learners, and its settings are not searched. Search those that it is made of")
        if not self.space and self.of.learner not in SPACES:
            raise ValueError(f"what to vary of {self.of.learner!r} is not known. Say it with space, such as space: {{learning_rate: [0.01, 0.1]}}")
        try:
            check_space(self.of, self.varied)
        except ConfigError as error:
            raise ValueError(error) from error
        return self

    @property
    def varied(self) -> Space:
        """The space, the usual one where none is given."""
        return self.space or {key: _choice(key, one) for key, one in SPACES[self.of.learner].items()}

    @property
    def processor(self) -> str:
        """The processor of the learner that is searched."""
        return self.of.processor

    def resolved(self) -> dict[str, Any]:
        """Return what the processor of the inner learner is given."""
        resolved: dict[str, Any] = self.of.options.resolved()
        return resolved


def check_space(of: Inner, space: Space) -> None:
    """Raise ConfigError for an option that the learner does not have, and for a value that it does not take."""
    known = list(type(of.options).model_fields)
    for key, choice in space.items():
        if key not in known:
            raise ConfigError(f"space: the learner {of.learner!r} has no option {key!r}. {nearest(key, known)}")
        for value in choice.values() if isinstance(choice, Range) else choice:
            try:
                of.changed({key: value})
            except ConfigError as error:
                raise ConfigError(f"space: {error}") from error


def whole(of: Inner, key: str, choice: Range) -> bool:
    """Return whether the option takes whole numbers alone."""
    try:
        of.changed({key: choice.low + 0.5 * min(1, choice.high - choice.low)})
    except ConfigError:
        return True
    return False


def _choice(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        try:
            return check(Range, value, f"space.{key}")
        except ConfigError as error:
            raise ValueError(error) from error
    if isinstance(value, list) and not value:
        raise ValueError(ConfigError(f"space.{key} is an empty list. Name what to try, or take it out."))
    return value
