"""Every sink keeps the contract of core/learning/sinks.py. A new one is picked up by its name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from penjing.core import plugins
from penjing.core.curve import Pace, Point, figures
from penjing.core.errors import MissingLibrary


def loaded(name: str) -> Any:
    try:
        return plugins.load("sinks", name)
    except MissingLibrary as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", plugins.names("sinks"))
def test_a_sink_takes_any_curve_and_writes_into_its_own_folder_alone(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kind = loaded(name)
    sink = kind.open(kind.Options(), tmp_path / "log" / name / "net", "reviews/net")
    pace = Pace()
    for curve in ("learning", "bag-3: fine-tuning", "a/b"):
        for step, loss in ((1, 0.5), (2, math.nan), (1, 0.25), (1, 0.125), (9, 1e30)):
            point = Point(step, step / 10, float(step), loss, 0.01)
            sink.write(curve, point, figures(point, pace.at(point)))
    sink.close(done=True)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and all(path.is_relative_to(tmp_path / "log" / name) for path in files)


@pytest.mark.parametrize("name", plugins.names("sinks"))
def test_what_a_user_may_set_is_known_without_its_library(name: str) -> None:
    options = plugins.options("sinks", name)
    assert options.__module__ == f"penjing.plugins.sinks.{name}.options"
    assert options() == options(**options().model_dump(mode="json"))
