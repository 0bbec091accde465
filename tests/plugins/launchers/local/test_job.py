"""What is to be learnt survives its file, and examples are found by another process wherever they are."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penjing.core.errors import RunFailed
from penjing.core.examples import Examples
from penjing.core.types import Batch, Ragged, Spec
from penjing.plugins.launchers.local.job import Job, held, placed, wait_for_none


def job(folder: Path) -> Job:
    return Job(
        learner="transformer",
        options={"tune": "full"},
        outputs={"logits": Spec(3, "softmax")},
        examples=folder / "examples",
        validation=folder / "validation",
        unlabelled=None,
        names={"numbers": ["age"]},
        seed=7,
        checkpoints=folder,
        cache=folder / "cache",
        workers=2,
        threads=1,
        patience_seconds=60.0,
        store=folder / "store",
        seconds=math.inf,
        spent_seconds=3.0,
        joules=math.inf,
        gain_per_watt_hour=0.0,
    )


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    for written in (job(tmp_path), replace(job(tmp_path), unlabelled=tmp_path / "u", seconds=10.0, joules=5.0)):
        written.write(tmp_path)
        assert Job.open(tmp_path) == written


def batch() -> Batch:
    return {"x": np.arange(12.0, dtype=np.float32).reshape(4, 3), "ids": Ragged.of([[1, 2], [], [3], [4, 5, 6]], np.int32)}


def test_examples_that_lie_in_a_folder_stay_there(tmp_path: Path) -> None:
    there = Examples.write(tmp_path / "there", [(batch(), np.arange(4))])
    assert placed(there, tmp_path / "new") == tmp_path / "there"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("weight", [None, np.array([1, 2, 0.5, 1], np.float32)])
def test_examples_that_lie_nowhere_are_written(tmp_path: Path, weight: np.ndarray | None) -> None:
    found = Examples.open(placed(Examples(batch(), np.eye(4, dtype=np.float32), weight), tmp_path / "new"))
    ids, x = found.inputs["ids"], found.inputs["x"]
    assert isinstance(ids, Ragged)
    assert [list(ids[i]) for i in range(4)] == [[1, 2], [], [3], [4, 5, 6]]
    assert np.array_equal(x, batch()["x"])
    assert np.array_equal(found.target, np.eye(4))
    assert (found.weight is None) == (weight is None)
    assert np.array_equal(found.weights(np.arange(4)), np.ones(4) if weight is None else weight)


def test_a_mapped_input_with_another_target_is_written_anew(tmp_path: Path) -> None:
    there = Examples.write(tmp_path / "there", [(batch(), np.arange(4))])
    taught = Examples(there.inputs, np.eye(4, dtype=np.float32), there.weight)
    assert np.array_equal(Examples.open(placed(taught, tmp_path / "new")).target, np.eye(4))


def test_no_examples_at_all_are_still_there(tmp_path: Path) -> None:
    inputs, target = Examples(batch(), np.arange(4)).batch(np.zeros(0, np.int64))
    found = Examples.open(placed(Examples(inputs, target), tmp_path / "none"))
    assert len(found) == 0
    assert found.inputs.keys() == batch().keys()


def test_workers_of_an_earlier_try_are_waited_for(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom penjing.plugins.launchers.local.job import held\n"
        "with held(Path(sys.argv[1])):\n    print('here', flush=True)\n    time.sleep(float(sys.argv[2]))"
    )
    wait_for_none(tmp_path, 0.0)
    for seconds in ("0.5", "1000"):
        with held(tmp_path), subprocess.Popen([sys.executable, "-c", program, str(tmp_path), seconds], stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"here\n"
            with pytest.raises(RunFailed, match="Workers of an earlier try still write into .*End them"):
                wait_for_none(tmp_path, 0.0)
            if seconds == "1000":
                other.kill()
        wait_for_none(tmp_path, 0.0)
