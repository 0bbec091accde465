"""Learning one member after the other, and asking them: what all kinds of ensemble share. Knows none of them.

Shapes: N rows, W width of the output.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core.examples import Examples
from penjing.core.learning.inner import Inner, learnt, seed_of, within
from penjing.core.protocols import Fitting
from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.ensemble.options import Options

_ROWS = 1024
"""That are asked, or written, at a time."""


@dataclass(frozen=True)
class Task:
    """What is to be learnt, by all members."""

    options: Options
    output: str
    spec: Spec
    examples: Examples
    validation: Examples
    fitting: Fitting

    @property
    def outputs(self) -> Mapping[str, Spec]:
        return {self.output: self.spec}

    def member(self, number: int, inner: Inner, examples: Examples | None = None, name: str = "member") -> Any:
        """Return the learner of this number, learnt from `examples`, or from all of them; opened where it was finished before a kill."""
        fitting = within(self.fitting, f"{name}-{number}", seed_of(self.fitting.seed, number))
        member = learnt(inner, self.outputs, self.examples if examples is None else examples, self.validation, fitting)
        self.fitting.progress.advance(1, f"{name} {number + 1}")
        return member

    def spent(self, members: int) -> bool:
        """Return whether no other member is begun: the allowance is spent, and there is one."""
        why = self.fitting.allowance.spent() if members else None
        if why:
            self.fitting.progress.say(f"The ensemble ends with {members} of its members, since {why}.")
        return why is not None


def said(member: Any, output: str, examples: Examples) -> NDArray:
    """Return the (N, W) float64 logits of `member`, asked some rows at a time."""
    if not len(examples):
        return np.zeros((0, 1))
    parts = [np.arange(i, min(i + _ROWS, len(examples))) for i in range(0, len(examples), _ROWS)]
    found: NDArray = np.concatenate([np.asarray(member.run(examples.batch(part)[0])[output], np.float64) for part in parts])
    return found


def shares(task: Task, target: NDArray) -> NDArray:
    """Return (N, W): the share of each class, for classes too."""
    found: NDArray = np.eye(task.spec.width)[target] if target.ndim == 1 else np.asarray(target, np.float64)
    return found


def reweighed(examples: Examples, weight: NDArray) -> Examples:
    """Return the same examples counting by `weight` (N,), brought to 1 on average."""
    return Examples(examples.inputs, examples.target, (weight * (len(weight) / weight.sum())).astype(np.float32))


@contextmanager
def written(examples: Examples, rows: NDArray, folder: Path) -> Iterator[Examples]:
    """Yield the examples at `rows`, which rise, on disk in `folder`, until the block ends."""
    shutil.rmtree(folder, ignore_errors=True)
    parts = [rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS)]
    weights = None if examples.weight is None else (examples.weights(part) for part in parts)
    yield Examples.write(folder, (examples.batch(part) for part in parts), weights)
    shutil.rmtree(folder, ignore_errors=True)
