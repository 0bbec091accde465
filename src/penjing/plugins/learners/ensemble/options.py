"""What a user may say of an ensemble. Light: nothing that learns is imported."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from penjing.core.config import Section
from penjing.core.learning.inner import Inner


class Options(Section):
    """Several learners that answer as one, or whose weights become one."""

    how: Literal["bagging", "boosting", "stacking", "soup"] = "bagging"
    """bagging: each learns from rows drawn anew, and their probabilities are averaged (Breiman 1996). boosting: each learns more from the rows that
    those before got wrong (SAMME, Zhu et al. 2009), or, of numbers, what they left of them (Friedman 2001). stacking: a linear head over what all of
    them say of rows that they did not see (Wolpert 1992). soup: the mean of the weights of several fine-tunings, which is one model (Wortsman et al.
    2022)."""
    of: list[Inner] = Field(min_length=1)
    """The learners: [{learner: boosted-trees}, {learner: tabular-linear}]. All read rows in the same way: by one processor with the same options."""
    members: int = Field(default=5, ge=2, le=1000)
    """How many are learnt; of several learners each in its turn. Boosting keeps as many of the first as do best. Not of stacking, which learns each
    of `of`."""
    folds: int = Field(default=5, ge=2, le=100)
    """Parts of the training rows; what stacking learns from is said of each part by learners that learnt from the others. Only of stacking."""
    greedy: bool = True
    """Whether a soup takes a member only where validation rows do not get worse by it (Wortsman et al. 2022, algorithm 1), beginning with the best of
    them; without, it is the mean of all. Only of soup."""

    @model_validator(mode="after")
    def _possible(self) -> Options:
        names = [one.learner for one in self.of]
        if "ensemble" in names:
            raise ValueError("an ensemble of ensembles is no better than one with more members. Name the learners themselves")
        if self.how == "stacking" and len(names) < 2:
            raise ValueError(f"stacking needs two learners or more, and of names {names[0]!r} alone. Add another, or choose bagging")
        if self.how == "soup" and len(set(names)) > 1:
            raise ValueError(f"a soup is made of one learner, and of names {' and '.join(sorted(set(names)))}. Keep one, or choose stacking")
        if self.how == "soup" and names[0] == "search":
            raise ValueError("a soup is not made of searches, each of which ends with other settings. Name the settings under of")
        return self

    @property
    def processor(self) -> str:
        """The processor of the first; planning sees that the others have the same."""
        return self.of[0].processor

    def resolved(self) -> dict[str, Any]:
        """Return what the processor is given."""
        resolved: dict[str, Any] = self.of[0].options.resolved()
        return resolved

    @property
    def learnt(self) -> list[Inner]:
        """Every member that is learnt, in its order."""
        return self.of if self.how == "stacking" else [self.of[i % len(self.of)] for i in range(self.members)]
