"""Several workers on this machine, each a process with cores of its own. One that dies is named, and all go on from the last checkpoint.

Light: torch is imported by the workers, not by what starts and watches them.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from penjing.core import plugins
from penjing.core.config import Section
from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, Learner
from penjing.core.types import Spec
from penjing.plugins.launchers.local.crew import Crew, Death
from penjing.plugins.launchers.local.job import Job, placed, wait_for_none
from penjing.plugins.launchers.local.relay import Ear

TRIES = 3
"""Starts in a row that get no further than those before, after which learning is given up."""
_ENDING_SECONDS = 60.0
"""What workers of a try that was killed may take to end."""
_WORKER = "penjing.plugins.launchers.local.worker"


class Local:
    """A launcher: `fit` is a learner's `fit`, by `workers` processes of `threads` each.

    patience_seconds: how long a worker waits for another before it counts as lost.
    """

    def __init__(self, workers: int, threads: int, patience_seconds: float = 1800.0) -> None:
        self.workers, self.threads, self.patience_seconds = workers, threads, patience_seconds

    def fit(self, learner: str, options: Section, outputs: Mapping[str, Spec], examples: Examples, validation: Examples, fitting: Fitting) -> Learner:
        """Return what the learner of this name has learnt.

        Raises what a worker raised, and RunFailed where workers die again and again.
        """
        fitting.checkpoints.mkdir(parents=True, exist_ok=True)
        wait_for_none(fitting.checkpoints, _ENDING_SECONDS)
        folder = fitting.checkpoints / "job"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        job = self._job(folder, learner, options, outputs, examples, validation, fitting)
        ear, vain = Ear(fitting.progress, fitting.tell), 0
        while death := self._try(job, folder, ear, fitting):
            vain = 0 if ear.further else vain + 1
            ear.further = False
            self._judge(death, vain, ear, fitting)
        fitting.allowance.stopped = ear.stopped
        opened: Learner = plugins.load("learners", learner).open(folder / "learner")
        return opened

    def _job(
        self,
        folder: Path,
        learner: str,
        options: Section,
        outputs: Mapping[str, Spec],
        examples: Examples,
        validation: Examples,
        fitting: Fitting,
    ) -> Job:
        allowance = fitting.allowance
        return Job(
            learner=learner,
            options=options.model_dump(mode="json"),
            outputs=dict(outputs),
            examples=placed(examples, folder / "examples"),
            validation=placed(validation, folder / "validation"),
            unlabelled=None if fitting.unlabelled is None else placed(fitting.unlabelled, folder / "unlabelled"),
            names={name: list(columns) for name, columns in fitting.names.items()},
            seed=fitting.seed,
            checkpoints=fitting.checkpoints,
            cache=fitting.cache,
            workers=self.workers,
            threads=self.threads,
            patience_seconds=self.patience_seconds,
            store=folder / "store",
            seconds=allowance.seconds,
            spent_seconds=0.0,
            joules=allowance.joules,
            gain_per_watt_hour=allowance.gain_per_watt_hour,
        )

    def _try(self, job: Job, folder: Path, ear: Ear, fitting: Fitting) -> Death | None:
        """Start all workers and wait for them; return the first that died, or None where all have done their work."""
        allowance = fitting.allowance
        # Not in the run's folder: workers lock the file in which they meet, and a shared disk may not let them.
        with tempfile.TemporaryDirectory(prefix="penjing-") as meeting:
            spent_seconds, joules = time.monotonic() - allowance.began, allowance.joules - allowance.drawn()
            replace(job, store=Path(meeting) / "store", spent_seconds=spent_seconds, joules=joules).write(folder)
            ranks = range(self.workers)
            commands = [[sys.executable, "-P", "-m", _WORKER, str(folder.resolve()), str(rank)] for rank in ranks]
            crew = Crew(commands, [folder / f"worker-{rank}.log" for rank in ranks], self._environment(), ear.hear)
            try:
                with crew:
                    death = crew.watch()
            finally:
                _tidy(crew.pids, [job.checkpoints, job.cache])
        return death

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}

    def _judge(self, death: Death, vain: int, ear: Ear, fitting: Fitting) -> None:
        """Say who died, where all are to start again. Raises what a worker says it failed of, or RunFailed."""
        if ear.failure is not None:
            raise ear.failure
        fitting.progress.finish()
        log = f"Its log, {death.log}, ends: {death.tail}"
        if vain >= TRIES:
            raise RunFailed(f"{death}, {vain} times in a row without getting further. Ask for fewer under distributed, or leave it out. {log}")
        fitting.progress.say(f"{death}; all {self.workers} go on from the last checkpoint. {log}")


def _tidy(pids: Sequence[int], folders: Sequence[Path]) -> None:
    """Take away what workers that were killed had half written."""
    for folder in folders:
        for pid in pids:
            for left in folder.glob(f".*.{pid}.partial"):
                left.unlink(missing_ok=True)
