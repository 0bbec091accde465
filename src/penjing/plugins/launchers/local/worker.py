"""One worker as a process: `python -m penjing.plugins.launchers.local.worker JOB RANK`.

What it says goes to what was its standard output when it began, as lines that relay.py describes; all that libraries print goes to standard
error, which is its log. Standard input says nothing and ends when the process that started it does: then this one ends too.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from penjing.core import plugins
from penjing.core.allowance import Allowance
from penjing.core.energy import Used, metered
from penjing.core.errors import PenjingError
from penjing.core.examples import Examples
from penjing.core.files import told_plainly
from penjing.core.protocols import Fitting, Silent
from penjing.core.workers import Workers
from penjing.plugins.launchers.local.job import Job, held
from penjing.plugins.launchers.local.relay import FAILED, LOST, Voice
from penjing.training.workers import Lost, together

_TERMINATED = 128 + signal.SIGTERM


def main() -> None:
    voice = _voice()
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    folder, rank = Path(sys.argv[1]), int(sys.argv[2])
    try:
        job = Job.open(folder)
        with told_plainly(job.checkpoints), held(job.checkpoints):
            _learn(job, folder, rank, voice)
    except Lost:
        traceback.print_exc()
        _leave(LOST)
    except PenjingError as error:
        sys.stderr.write(f"{error}\n")
        voice.failed(error)
        _leave(FAILED)
    except SystemExit:
        _leave(_TERMINATED)
    except BaseException:
        traceback.print_exc()
        _leave(FAILED)


def _learn(job: Job, folder: Path, rank: int, voice: Voice) -> None:
    """Learn with the others; worker 0 keeps what all have learnt in `folder`/learner."""
    kind = plugins.load("learners", job.learner)
    learner = kind.create(plugins.options("learners", job.learner)(**job.options), job.outputs)
    each = _shares_a_meter(job.workers)
    with metered() as used, together(rank, job.workers, job.store, job.threads, job.patience_seconds) as workers:
        fitting = _fitting(job, workers, voice, used, each)
        learner.fit(Examples.open(job.examples), Examples.open(job.validation), fitting)
        if fitting.allowance.stopped:
            voice.stopped(fitting.allowance.stopped)
        if rank == 0:
            (folder / "learner").mkdir(exist_ok=True)
            learner.save(folder / "learner")


def _fitting(job: Job, workers: Workers, voice: Voice, used: Used, each: int) -> Fitting:
    allowance = Allowance(
        job.seconds,
        job.joules,
        job.gain_per_watt_hour,
        lambda: each * used.joules(),
        time.monotonic() - job.spent_seconds,
    )
    unlabelled = None if job.unlabelled is None else Examples.open(job.unlabelled)
    told: Any = {"progress": voice, "tell": voice.tell} if workers.rank == 0 else {"progress": Silent()}
    return Fitting(
        seed=job.seed,
        checkpoints=job.checkpoints,
        cache=job.cache,
        names=job.names,
        unlabelled=unlabelled,
        allowance=allowance,
        workers=workers,
        **told,
    )


def _shares_a_meter(workers: int) -> int:
    """Return by what this worker's energy is multiplied to be that of all: a counter sees the machine, an estimate this process."""
    with metered() as used:
        pass
    return 1 if used.energy.measured else workers


def _voice() -> Voice:
    """Keep standard output for what is told, and let all else that is printed go to standard error."""
    told = os.dup(1)
    os.dup2(2, 1)
    return Voice(told)


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(FAILED)


def _leave(code: int) -> None:
    """End at once: with a worker gone, what torch does at the end may wait for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
