"""What is logged is what MLflow's own client finds. A folder stands for the tracking server: no test uses the network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from penjing.core.curve import Pace, Point, figures
from penjing.core.learning.sinks import Log, LogConfig, SinkConfig
from penjing.core.protocols import Silent

pytest.importorskip("mlflow", reason="MLflow is an extra")

from penjing.plugins.sinks.mlflow.sink import Mlflow, MlflowClient


def point(step: int, loss: float, **more: Any) -> Point:
    return Point(step, step / 4, float(step), loss, 0.01, **more)


def write(sink: Mlflow, *points: Point) -> None:
    pace = Pace()
    for one in points:
        sink.write("fine-tuning", one, figures(one, pace.at(one)))


def client(folder: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=folder.absolute().as_uri())


def runs(folder: Path, experiment: str = "penjing") -> list[Any]:
    found = client(folder)
    return list(found.search_runs([found.get_experiment_by_name(experiment).experiment_id], order_by=["attributes.start_time"]))


def test_its_client_finds_the_curve_of_a_finished_run(tmp_path: Path) -> None:
    sink = Mlflow.open(Mlflow.Options(), tmp_path / "net", "reviews/net")
    write(sink, point(1, 2.0), point(2, 1.5, validation_loss=1.75, quality=0.5))
    sink.close(done=True)
    (run,) = runs(tmp_path / "runs")
    assert (run.info.run_name, run.info.status) == ("reviews/net", "FINISHED")
    history = client(tmp_path / "runs").get_metric_history(run.info.run_id, "fine-tuning/loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 2.0), (2, 1.5)]
    assert run.data.metrics["fine-tuning/quality"] == 0.5


def test_a_killed_try_is_marked_and_the_next_is_a_run_of_its_own(tmp_path: Path) -> None:
    write(Mlflow.open(Mlflow.Options(), tmp_path / "net", "net"), point(1, 2.0))  # killed: never closed
    sink = Mlflow.open(Mlflow.Options(), tmp_path / "net", "net")
    write(sink, point(1, 2.0), point(2, 1.5))
    sink.close(done=True)
    assert sorted(run.info.status for run in runs(tmp_path / "runs")) == ["FINISHED", "KILLED"]


@pytest.mark.changes("sinks.mlflow.tracking")
@pytest.mark.changes("sinks.mlflow.experiment")
def test_the_user_says_where_and_under_which_experiment(tmp_path: Path) -> None:
    for options in ({}, {"tracking": str(tmp_path / "mine"), "experiment": "pots"}):
        log = Log(LogConfig(sinks=[SinkConfig.parse({"sink": "mlflow", **options})]), tmp_path / "log", "reviews")
        with log.of("net", tmp_path / "curve.jsonl", Silent()) as tell:
            tell("a", point(1, 2.0))
    assert [run.info.run_name for run in runs(tmp_path / "log" / "mlflow" / "runs")] == ["reviews/net"]
    assert [run.info.run_name for run in runs(tmp_path / "mine", "pots")] == ["reviews/net"]


def test_a_server_that_is_not_there_costs_the_log_and_not_the_learning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Told(Silent):
        said: ClassVar[list[str]] = []

        def say(self, sentence: str) -> None:
            self.said.append(sentence)

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    log = Log(LogConfig(sinks=[SinkConfig.parse({"sink": "mlflow", "tracking": "http://127.0.0.1:9"})]), tmp_path / "log", "reviews")
    with log.of("net", tmp_path / "curve.jsonl", Told()) as tell:
        tell("a", point(1, 2.0))
        tell("a", point(2, 1.0))
    assert len(Told.said) == 1
    assert "'mlflow' is left" in Told.said[0] and "127.0.0.1" in Told.said[0]


def test_mlflow_tells_its_makers_nothing(tmp_path: Path) -> None:
    script = """
import sys, threading
from pathlib import Path
from penjing.plugins.sinks.mlflow.sink import Mlflow
Mlflow.open(Mlflow.Options(), Path(sys.argv[1]) / "net", "net").close(done=True)
from mlflow.telemetry.client import get_telemetry_client
print(get_telemetry_client(), [thread.name for thread in threading.enumerate() if "elemetry" in thread.name])
"""
    # MLflow says nothing of tests and of continuous integration anyway: here it must not know that this is one.
    known = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME", "PENJING_HOME", "VIRTUAL_ENV")}
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=known, capture_output=True, text=True, timeout=120)
    assert done.stdout == "None []\n", done.stderr
