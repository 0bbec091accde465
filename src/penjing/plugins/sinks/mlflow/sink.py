"""Logs curves to MLflow, one of its runs a learning, on a tracking server that the user names or in a folder.

A try that goes on after a kill is a run of its own with the whole curve; the killed one is marked so. MLflow's telemetry is switched off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

# Read when MLflow is imported or asks a server. Without them it tells its makers of its use, and a server that does not answer holds
# learning up for minutes. It wants to be told that a folder is meant, too.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from penjing.core.curve import Point
from penjing.core.files import read_json, write_json
from penjing.plugins.sinks.mlflow import options as settings

_FLUSH_SECONDS = 5.0
_MOST = 1000
"""Metrics that MLflow takes at once."""


class Mlflow:
    Options = settings.Options

    def __init__(self, client: MlflowClient, run: str, note: Path) -> None:
        self.run = run
        self._client, self._note = client, note
        self._waiting: list[Metric] = []
        self._flushed = time.monotonic()

    @classmethod
    def open(cls, options: settings.Options, folder: Path, name: str) -> Self:
        client = MlflowClient(tracking_uri=_address(options.tracking, folder.parent / "runs"))
        note = folder / "run.json"
        if note.exists():
            with suppress(MlflowException, ValueError, KeyError):
                client.set_terminated(read_json(note)["run"], "KILLED")
        found = client.get_experiment_by_name(options.experiment)
        experiment = found.experiment_id if found else client.create_experiment(options.experiment)
        run = client.create_run(experiment, run_name=name).info.run_id
        write_json(note, {"run": run})
        return cls(client, run, note)

    def write(self, curve: str, point: Point, figures: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        self._waiting += [Metric(f"{curve}/{name}", value, now, point.step) for name, value in figures.items()]
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._flush()

    def close(self, done: bool) -> None:
        self._flush()
        self._client.set_terminated(self.run, "FINISHED" if done else "KILLED")
        self._note.unlink()

    def _flush(self) -> None:
        for start in range(0, len(self._waiting), _MOST):
            self._client.log_batch(self.run, metrics=self._waiting[start : start + _MOST])
        self._waiting, self._flushed = [], time.monotonic()


def _address(tracking: str | None, folder: Path) -> str:
    """Return the address of the tracking server, or of the folder."""
    if tracking is not None and "://" in tracking:
        return tracking
    return (folder if tracking is None else Path(tracking)).absolute().as_uri()
