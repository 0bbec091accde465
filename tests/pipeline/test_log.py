"""How a tier learns is kept in the run, told in the report, and shown where the user asks for it, without a part in what is learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.curve import read
from penjing.core.errors import MissingLibrary
from penjing.core.protocols import Silent
from penjing.pipeline.config import read_config
from penjing.pipeline.run import Run, run
from penjing.pipeline.start import make_key, signer
from penjing.stages.gate import Override

CURVE = Path("train", "tabular-network", "measured", "curve.jsonl")


class Told(Silent):
    seen: ClassVar[list[str]] = []

    def learning(self, name: str, point: Any) -> None:
        self.seen.append(name)


def ran(folder: Path, name: str = "run", until: Any = "train", **config: Any) -> Run:
    make_key(lambda _: None)
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'yes' if a * b > 0 else 'no'}" for a, b in rng.normal(size=(160, 2))]
    (folder / "table.csv").write_text("a,b,answer\n" + "\n".join(rows) + "\n")
    network = {"learner": "tabular-network", "epochs": 3, "width": 16}
    base = {"data": {"source": str(folder / "table.csv"), "target": "answer"}, "tiers": [network], **config}
    return run(read_config(None, (), base), folder / name, signer(), Told(), until, Override("a test", "it learns little"))


def test_the_curve_of_what_descends_is_kept_shown_and_drawn(tmp_path: Path) -> None:
    Told.seen.clear()
    done = ran(tmp_path, until="evaluate")
    (name, points), *_ = read(tmp_path / "run" / CURVE).items()
    assert Told.seen.count(name) == len(points)
    assert [point.epoch for point in points if point.validation_loss is not None] == [1, 2, 3]
    assert points[-1].step == points[-1].of_steps
    told = done.report["learning"]
    (curve,) = told["tabular-network"]["curves"]
    assert len(curve["validation"]) == 3
    assert "How each tier learnt" in (tmp_path / "run" / "report" / "report.html").read_text(encoding="utf-8")


@pytest.mark.changes("log.sinks")
def test_a_sink_shows_what_is_learnt_and_changes_nothing_of_it(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is an extra")
    silent, logged = ran(tmp_path), ran(tmp_path, "logged", log={"sinks": ["tensorboard"]})
    assert not (tmp_path / "run" / "log").exists()
    assert [path.parts[-3:-1] for path in (tmp_path / "logged" / "log").rglob("events*")] == [("tabular-network", "learning")]
    assert logged.made["train/tabular-network"].model == silent.made["train/tabular-network"].model
    again = ran(tmp_path, log={"sinks": ["tensorboard"]})
    assert again.made["train/tabular-network"].reused


def test_a_sink_without_its_library_is_refused_before_anything_is_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = plugins.load

    def without(kind: str, name: str) -> Any:
        if kind == "sinks":
            raise MissingLibrary(f"The sink {name!r} needs the library {name!r}, which is not installed.")
        return load(kind, name)

    monkeypatch.setattr(plugins, "load", without)
    with pytest.raises(MissingLibrary, match="The sink 'mlflow' needs"):
        ran(tmp_path, log={"sinks": ["mlflow"]})
    assert not (tmp_path / "run" / "train").exists()
