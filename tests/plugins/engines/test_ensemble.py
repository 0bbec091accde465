"""Several engines that answer as one, with real trees and linear models as members.

Shapes: M members, B rows, W width.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core.errors import RunFailed
from penjing.core.protocols import HasLayers
from penjing.core.statistics import probabilities
from penjing.core.types import Batch, NDArray, Ragged, Spec
from penjing.plugins.engines.ensemble import Blend, Ensemble
from penjing.plugins.engines.sparse_linear import SparseLinear

TWO, THREE, LABELS = Spec(2, "softmax"), Spec(3, "softmax"), Spec(2, "sigmoid")
LOGITS_MBW = np.random.default_rng(0).normal(size=(3, 5, 3)) * 3


def linear(seed: int, width: int = 3) -> SparseLinear:
    random = np.random.default_rng(seed)
    weights, bias = random.normal(size=(4, width)).astype(np.float32), random.normal(size=width).astype(np.float32)
    return SparseLinear(np.arange(4, dtype=np.int32), np.ones(4, np.float32), np.array([1, 0.5], np.float32), weights, bias, "logits")


def batch(count: int) -> Batch:
    rows = [np.sort(np.random.default_rng(i).permutation(6)[: i % 4]) for i in range(count)]
    ends = np.array([[len(row), len(row)] for row in rows], np.int32).reshape(-1, 2)
    return {"features": Ragged.of(rows, np.int32), "counts": Ragged.of([np.ones(len(row)) for row in rows], np.uint8), "ends": ends}


@pytest.mark.parametrize("spec", [THREE, Spec(3, "sigmoid"), Spec(3, "identity")], ids=lambda spec: spec.link)
def test_a_mean_is_one_of_probabilities_by_weights(spec: Spec) -> None:
    found = Blend("mean", [2.0, 1.0, 1.0])(LOGITS_MBW, spec)
    shares = [probabilities(said_BW, spec.link) for said_BW in LOGITS_MBW]
    wanted = 0.5 * shares[0] + 0.25 * shares[1] + 0.25 * shares[2]
    np.testing.assert_allclose(probabilities(found.astype(np.float64), spec.link), wanted, atol=1e-6)
    assert found.dtype == np.float32


def test_a_mean_of_what_is_all_but_certain_stays_finite() -> None:
    sure_MBW = np.array([[[1000.0, -1000.0]], [[1000.0, -1000.0]]])
    for spec in (TWO, LABELS):
        assert np.isfinite(Blend("mean", [1.0, 1.0])(sure_MBW, spec)).all()


def test_a_scale_makes_a_mean_surer_and_changes_no_answer() -> None:
    plain, twice = (Blend("mean", [1.0, 1.0, 1.0], scale)(LOGITS_MBW, THREE) for scale in (1.0, 2.0))
    np.testing.assert_allclose(twice, 2 * plain, rtol=1e-6)


def test_a_head_is_linear_in_all_that_the_members_say() -> None:
    random = np.random.default_rng(1)
    head_WF, bias_W = random.normal(size=(3, 9)), random.normal(size=3)
    found = Blend("linear", head=head_WF.tolist(), bias=bias_W.tolist())(LOGITS_MBW, THREE)
    np.testing.assert_allclose(found, np.hstack(list(LOGITS_MBW)) @ head_WF.T + bias_W, atol=1e-5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(2):
        (tmp_path / str(i)).mkdir()
        linear(i).save(tmp_path / str(i))
    Ensemble([], Blend("mean", [0.3, 0.7]), "logits", THREE).write(tmp_path, ["sparse-linear", "sparse-linear"])
    return tmp_path


def test_what_is_opened_answers_as_what_was_written(folder: Path) -> None:
    members = [linear(0), linear(1)]
    ours, theirs = Ensemble.open(folder), Ensemble(members, Blend("mean", [0.3, 0.7]), "logits", THREE)
    assert np.array_equal(ours.run(batch(9))["logits"], theirs.run(batch(9))["logits"])
    assert ours.run(batch(0))["logits"].shape == (0, 3)  # type: ignore[union-attr]
    assert ours.work(batch(9)) == sum(member.work(batch(9)) for member in members)


def test_its_steps_are_those_of_its_members_and_then_its_own(folder: Path) -> None:
    engine = Ensemble.open(folder)
    assert isinstance(engine, HasLayers)
    names = [name for name, _ in engine.layers(batch(3))]
    assert names[0] == "member 0: feature values"
    assert names[-1] == "logits"
    assert "member 1" in names
    assert len(set(names)) == len(names)


def test_it_may_be_asked_from_several_threads(folder: Path) -> None:
    engine, rows = Ensemble.open(folder), batch(50)
    alone, found = np.asarray(engine.run(rows)["logits"]), list[NDArray]()
    threads = [threading.Thread(target=lambda: found.append(np.asarray(engine.run(rows)["logits"]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, alone) for one in found)
    assert len(found) == 8


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(engines=[]),
        lambda told: told.update(engines=["sparse-linear"]),
        lambda told: told.update(engines=["sparse-linear", "no-such-engine"]),
        lambda told: told["blend"].update(how="guess"),
        lambda told: told["blend"].update(weights=[1.0, -1.0]),
        lambda told: told["blend"].update(weights=[0.0, 0.0]),
        lambda told: told["blend"].update(weights=["a", "b"]),
        lambda told: told["blend"].update(scale=0.0),
        lambda told: told["blend"].update(how="linear", head=[[1.0]], bias=[0.0]),
        lambda told: told.update(outputs={}),
        lambda told: told.pop("blend"),
    ],
)
def test_a_file_that_describes_no_ensemble_is_refused_in_a_sentence(folder: Path, change: Any) -> None:
    told = json.loads((folder / "ensemble.json").read_text())
    change(told)
    (folder / "ensemble.json").write_text(json.dumps(told))
    with pytest.raises(RunFailed, match="Export the tier again"):
        Ensemble.open(folder)


def test_a_member_that_is_not_there_is_named(folder: Path) -> None:
    (folder / "1" / "linear.safetensors").unlink()
    with pytest.raises(RunFailed, match="linear.safetensors"):
        Ensemble.open(folder)
