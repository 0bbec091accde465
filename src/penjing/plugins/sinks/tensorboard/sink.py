"""Writes curves as TensorBoard's event files, one folder a curve, so that `tensorboard --logdir FOLDER` shows them. TensorFlow is not needed.

A file begins with the mark of a new session at its first step: what a killed try wrote from there on is then shown no more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from penjing.core.curve import Point
from penjing.plugins.sinks.tensorboard import options as settings

_TAGS = {"loss": "loss/training", "validation_loss": "loss/validation"}
"""Figures that stand beside each other; the others are called what they are."""


class Tensorboard:
    Options = settings.Options

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, _EventFile] = {}

    @classmethod
    def open(cls, options: settings.Options, folder: Path, name: str) -> Self:
        return cls(folder if options.folder is None else Path(options.folder) / name)

    def write(self, curve: str, point: Point, figures: Mapping[str, float]) -> None:
        if curve not in self._files:
            self._files[curve] = _EventFile(self.folder / curve.replace("/", "-"), point)
        self._files[curve].write(point, figures)

    def close(self, done: bool) -> None:
        for file in self._files.values():
            file.close()


class _EventFile:
    """One event file. Every record is flushed: a kill costs none that was written."""

    def __init__(self, folder: Path, first: Point) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names.
        file: BinaryIO = (folder / f"events.out.tfevents.{time.time_ns():020d}.{os.getpid()}").open("xb")
        self._records, self._began, self._step = RecordWriter(file), time.time() - first.seconds, first.step
        self._add(Event(wall_time=self._began, file_version="brain.Event:2"))
        self._purge(first)

    def write(self, point: Point, figures: Mapping[str, float]) -> None:
        if point.step < self._step:
            self._purge(point)
        self._step = point.step
        values = [Summary.Value(tag=_TAGS.get(name, name), simple_value=value) for name, value in figures.items()]
        self._add(Event(wall_time=self._began + point.seconds, step=point.step, summary=Summary(value=values)))

    def close(self) -> None:
        self._records.close()

    def _purge(self, point: Point) -> None:
        """Take back what was shown from the step of `point` on."""
        self._add(Event(wall_time=self._began + point.seconds, step=point.step, session_log=SessionLog(status=SessionLog.START)))

    def _add(self, event: Any) -> None:
        self._records.write(event.SerializeToString())
        self._records.flush()
