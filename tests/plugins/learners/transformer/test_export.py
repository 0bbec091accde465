"""Every runtime gives the learner's own answers, from files that are the same each time and say nothing of the machine that made them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.types import Ragged, Spec
from penjing.plugins.learners.transformer.learner import Transformer
from penjing.plugins.learners.transformer.options import Options

TOLERANCE = 1e-4
"""Float32 sums in another order differ in the sixth digit; logits here are below ten."""


@pytest.fixture(scope="module")
def saved(fit: Any, new_run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved learner."""
    folder = tmp_path_factory.mktemp("saved")
    fit(new_run(), tune="full", epochs=1).save(folder)
    return folder


@pytest.fixture(scope="module", params=["openvino-runtime", "onnx-runtime", "torch-runtime"])
def export(request: pytest.FixtureRequest, saved: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any]:
    """The name of a runtime, the folder exported for it, and the engine opened from there."""
    folder = tmp_path_factory.mktemp(request.param)
    name = exported(saved, request.param, folder)
    return name, folder, plugins.load("engines", name).open(folder)


def exported(saved: Path, runtime: str, folder: Path) -> str:
    learner = Transformer.open(saved)
    learner.options = Options(**{**learner.options.model_dump(), "runtime": runtime})
    return learner.export(folder)


def test_every_runtime_gives_the_learners_own_answers(export: tuple[str, Path, Any], saved: Path) -> None:
    random = np.random.default_rng(0)
    batch = {"input_ids": Ragged.of([random.integers(4, 40, n) for n in (1, 2, 64, 7, 33, 0, 64, 8)], np.int32)}
    assert np.abs(export[2].run(batch)["logits"] - Transformer.open(saved).run(batch)["logits"]).max() < TOLERANCE


def test_every_runtime_can_be_looked_into_and_shows_the_learners_own_steps(export: tuple[str, Path, Any], saved: Path) -> None:
    random = np.random.default_rng(0)
    batch = {"input_ids": Ragged.of([random.integers(4, 40, n) for n in (1, 2, 64, 7, 33, 0, 64, 8)], np.int32)}
    steps, expected = list(export[2].layers(batch)), list(Transformer.open(saved).layers(batch))
    assert [name for name, _ in steps] == ["embeddings", "layer 1", "layer 2", "pooled", "head"]
    for (name, values), (same, wanted) in zip(steps, expected, strict=True):
        assert name == same
        assert np.abs(values - wanted).max() < TOLERANCE
    assert np.array_equal(steps[-1][1].argmax(1), export[2].run(batch)["logits"].argmax(1))
    assert not export[2].exits


def test_a_row_is_answered_alike_in_any_company_and_from_any_thread(export: tuple[str, Path, Any], fit: Any) -> None:
    engine = export[2]
    ids = fit.examples(30, 3).inputs["input_ids"]
    together = engine.run({"input_ids": ids})["logits"]
    with ThreadPoolExecutor(8) as pool:
        alone = list(pool.map(lambda i: engine.run({"input_ids": ids.take(np.array([i]))})["logits"], range(30)))
    assert np.abs(np.concatenate(alone) - together).max() < TOLERANCE


def test_another_export_is_the_same_bytes_and_none_holds_a_path(export: tuple[str, Path, Any], saved: Path, tmp_path: Path) -> None:
    name, folder, _ = export
    exported(saved, name, tmp_path)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert files == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    own = [str(Path(__file__).parents[4]), sys.prefix, str(Path.home()), str(tmp_path.parent), "site-packages", "stack_trace"]
    assert not [(file, text) for file, content in files.items() for text in own if text.encode() in content]


@pytest.mark.changes("learners.transformer.runtime")
def test_the_runtime_decides_what_is_exported(export: tuple[str, Path, Any]) -> None:
    name, folder, engine = export
    weights = {
        "openvino-runtime": {"model.xml", "model.bin"},
        "onnx-runtime": {"model.onnx"},
        "torch-runtime": {"model.safetensors", "head.safetensors"},
    }
    assert {path.name for path in folder.iterdir() if path.suffix != ".json"} == weights[name]
    assert plugins.name_of("engines", engine) == name


def test_another_process_exports_the_same_bytes_and_reports_to_nobody(saved: Path, tmp_path: Path) -> None:
    """openvino-telemetry leaves its files in the home folder when it is let."""
    exported(saved, "openvino-runtime", tmp_path / "here")
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "from pathlib import Path; from penjing.plugins.learners.transformer.learner import Transformer;"
        f"Transformer.open(Path({str(saved)!r})).export(Path({str(tmp_path / 'there')!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "HOME": str(home)})
    assert {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()
    }
    assert not (home / "intel").exists()


def test_the_real_model_is_served_as_it_was_learnt(tmp_path: Path) -> None:
    from penjing.training.texts.encoder import pretrained

    options = Options()
    learner = Transformer.create(options, {"logits": Spec(3, "softmax")})
    learner._encoder = pretrained(Path(options.resolved()["model"]), learner.outputs)
    random = np.random.default_rng(0)
    learner._encoder.set_head(random.normal(size=(3, 384)), random.normal(size=3))
    batch = {"input_ids": Ragged.of([random.integers(1000, 30000, n) for n in (3, 40, 200, 9)], np.int32)}
    expected = learner.run(batch)["logits"]
    for runtime in ("openvino-runtime", "onnx-runtime"):
        learner.options = Options(runtime=runtime)
        engine = plugins.load("engines", learner.export(tmp_path / runtime)).open(tmp_path / runtime)
        assert np.abs(engine.run(batch)["logits"] - expected).max() < TOLERANCE


def test_a_signal_after_the_last_engine_has_gone_does_not_end_the_process(fit: Any, new_run: Any, tmp_path: Path) -> None:
    """OpenVINO takes the stack for signal handlers away with its last Core; so that Ctrl-C is told plainly, one Core stays."""
    fit(new_run(), train=16, validation=4).export(tmp_path)
    program = f"""
import gc, signal
from pathlib import Path
from threading import Thread
from penjing.plugins.engines.openvino_runtime import OpenvinoRuntime
engines = [OpenvinoRuntime.open(Path({str(tmp_path)!r}))]
gone = Thread(target=lambda: (engines.clear(), gc.collect()))
gone.start()
gone.join()
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("told")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "told")
