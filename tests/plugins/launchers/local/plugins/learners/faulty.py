"""A network over tables that keeps a checkpoint at every step, and of which a worker fails as its options say: for tests of launchers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting
from penjing.plugins.learners.tabular_network.learner import TabularNetwork
from penjing.plugins.learners.tabular_network.options import Options as NetworkOptions
from penjing.training import loop
from penjing.training.workers import Group


class Options(NetworkOptions):
    fault: str = ""
    """What worker 1 does, once in a run: kill, raise, hang; or always: in every try."""
    at: int = 0
    """The sum at which it does."""


class Faulty(TabularNetwork):
    tier = "faulty"
    Options = Options

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        loop.CHECKPOINT_SECONDS, loop._WRITING = 0.0, float("inf")
        if isinstance(fitting.workers, Group) and fitting.workers.rank == 1 and self.options.fault:
            _spoil(fitting.workers, self.options.fault, self.options.at, fitting.checkpoints / "failed")
        super().fit(examples, validation, fitting)


def _spoil(workers: Any, fault: str, at: int, once: Path) -> None:
    add, sums = workers.add, 0

    def spoilt(tensors: Any) -> None:
        nonlocal sums
        sums += 1
        if sums == at and not once.exists():
            if fault != "always":
                once.touch()
            _fail(fault)
        add(tensors)

    workers.add = spoilt


def _fail(fault: str) -> None:
    if fault == "raise":
        raise RunFailed("The network fell over. Pick it up.")
    if fault == "hang":
        time.sleep(1000)
    if fault == "always":
        os._exit(7)
    os.kill(os.getpid(), signal.SIGKILL)
