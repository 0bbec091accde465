"""Trials one after the other, each a learner of its own, until they are all done or the allowance is spent. Knows nothing of how they are proposed.

Layout of the checkpoints: `trials.json` (what was tried, and which is best), `best-N/` (the learner of trial N), `trial-N/` (that of the one under
way, as far as it has learnt).

Shapes: N rows, W width of the output.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core.allowance import Allowance
from penjing.core.curve import Point
from penjing.core.errors import BadRequest, RunFailed
from penjing.core.examples import Examples
from penjing.core.files import read_json, write_json
from penjing.core.learning.inner import Inner, keep, learnt, opened, within
from penjing.core.protocols import Fitting
from penjing.core.statistics import mean_loss
from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.search.proposing import Proposal, Trial
from penjing.training.losses import scaled

_ROWS = 1024
"""That are asked at a time."""


@dataclass
class Watched(Allowance):
    """An allowance that is also spent when its trial is behind."""

    given: Allowance = field(default_factory=Allowance)
    behind: Callable[[], bool] = lambda: False

    def spent(self) -> str | None:
        return self.given.spent() or ("other settings do better" if self.behind() else None)

    @classmethod
    def over(cls, given: Allowance, behind: Callable[[], bool]) -> Watched:
        return cls(given.seconds, given.joules, given.gain_per_watt_hour, given.drawn, given.began, given, behind)


@dataclass
class Search:
    """One search: `of` with what `propose` proposes."""

    of: Inner
    propose: Callable[[list[Trial]], Proposal]
    """The trials before → the next."""
    outputs: Mapping[str, Spec]
    examples: Examples
    held_out: Examples
    """Rows that trials are judged by; learners choose their epoch by them too."""
    fitting: Fitting
    fingerprint: str
    done: list[Trial] = field(default_factory=list)
    best: int | None = None
    """The number of the best trial; None before one has succeeded."""

    def run(self, trials: int) -> str | None:
        """Do the trials that are left. Returns why it stopped before the last of them, or None.

        Raises what the first trial raises: it is the user's own. Raises RunFailed where none succeeds.
        """
        self._resume()
        self.fitting.progress.advance(len(self.done))
        why = None
        while len(self.done) < trials and (why := self._spent()) is None:
            self._trial()
            self.fitting.progress.advance(1, self._note())
        return why

    def found(self) -> tuple[Inner, Any]:
        """Return the best learner and its options."""
        if self.best is None:
            raise RunFailed(f"All {len(self.done)} trials of the search failed; the last said: {self.done[-1].why}")
        return opened(self._kept(self.best))

    def _spent(self) -> str | None:
        return self.fitting.allowance.spent() if self.best is not None else None

    def _trial(self) -> None:
        number, proposal = len(self.done), self.propose(self.done)
        fitting = within(self.fitting, f"trial-{number}", self.fitting.seed)

        def tell(curve: str, point: Point) -> None:
            fitting.tell(curve, point)
            if point.validation_loss is not None:
                proposal.told(round(point.epoch), point.validation_loss)

        watching = replace(fitting, tell=tell, allowance=Watched.over(fitting.allowance, lambda: proposal.behind))
        try:
            inner = self.of.changed(proposal.values)
            learner = learnt(inner, self.outputs, self.examples, self.held_out, watching)
            loss = judged(learner, self.outputs, self.held_out)
        except (RunFailed, BadRequest) as error:
            if not number:
                raise
            self._note_down(Trial(proposal.values, None, proposal.curve, proposal.behind, str(error)))
        else:
            self._note_down(Trial(proposal.values, loss, proposal.curve, proposal.behind), inner, learner)
        shutil.rmtree(fitting.checkpoints)

    def _note_down(self, trial: Trial, inner: Inner | None = None, learner: Any = None) -> None:
        before, number = self.best, len(self.done)
        if inner is not None and trial.loss is not None and (before is None or trial.loss < (self.done[before].loss or 0.0)):
            keep(inner, learner, self._kept(number))
            self.best = number
        self.done.append(trial)
        write_json(self._file, {"search": self.fingerprint, "best": self.best, "trials": [asdict(one) for one in self.done]})
        if before is not None and before != self.best:
            shutil.rmtree(self._kept(before))

    def _resume(self) -> None:
        told = read_json(self._file) if self._file.exists() else {}
        if told.get("search") == self.fingerprint:
            self.done = [Trial(**{**one, "curve": {int(epoch): loss for epoch, loss in one["curve"].items()}}) for one in told["trials"]]
            self.best = told["best"]

    def _note(self) -> str:
        best = None if self.best is None else self.done[self.best].loss
        return f"trial {len(self.done)}" + ("" if best is None else f", least loss {best:.4g}")

    def _kept(self, number: int) -> Path:
        return self.fitting.checkpoints / f"best-{number}"

    @property
    def _file(self) -> Path:
        return self.fitting.checkpoints / "trials.json"


def judged(learner: Any, outputs: Mapping[str, Spec], rows: Examples) -> float:
    """Return the mean loss of `learner` on `rows`, its logits at the scale that suits them best: a tier is calibrated before it serves.

    Infinite where it is no number.
    """
    ((output, spec),) = outputs.items()
    parts = [np.arange(i, min(i + _ROWS, len(rows))) for i in range(0, len(rows), _ROWS)]
    logits_NW: NDArray = np.concatenate([np.asarray(learner.run(rows.batch(part)[0])[output], np.float64) for part in parts])
    if not np.isfinite(logits_NW).all():
        raise RunFailed("It answers with what is no number.")
    if spec.link == "identity":
        return mean_loss(logits_NW, np.asarray(rows.target), spec.link)
    return scaled(logits_NW, np.zeros(spec.width), np.asarray(rows.target), spec.link)[1]
