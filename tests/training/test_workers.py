"""Processes sum and copy tensors together, have rows and cores of their own, and notice that one is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from penjing.core.workers import Alone
from penjing.training import workers
from penjing.training.workers import Group

ALL = """
import os, sys
import numpy as np, torch
from pathlib import Path
from penjing.training import workers
rank, count = int(sys.argv[1]), int(sys.argv[2])
workers.BUCKET_BYTES = 64
with workers.together(rank, count, Path(sys.argv[3]), 1, 60.0) as group:
    kinds = [((7,), torch.float32), ((3, 2), torch.float32), ((), torch.float32), ((40,), torch.float32), ((0,), torch.float32),
             ((2,), torch.float64), ((2,), torch.int64), ((2,), torch.bfloat16), ((5,), torch.float32)]
    tensors = [torch.full(shape, rank + 1 + i, dtype=kind) for i, (shape, kind) in enumerate(kinds)]
    learnt = torch.nn.Parameter(torch.full((2, 3), float(rank)))
    turned = torch.arange(6.0).reshape(2, 3).T * (rank + 1)
    group.add([*tensors, turned, learnt])
    for i, ((shape, kind), tensor) in enumerate(zip(kinds, tensors, strict=True)):
        assert tensor.shape == shape and tensor.dtype == kind and (tensor == sum(r + 1 + i for r in range(count))).all(), (i, tensor)
    assert (turned == torch.arange(6.0).reshape(2, 3).T * sum(range(1, count + 1))).all() and learnt.requires_grad
    random = torch.from_numpy(np.random.default_rng(rank).normal(size=1000).astype(np.float32))
    group.add([random])
    theirs = [torch.full((2,), float(rank)), torch.arange(6.0).reshape(2, 3).T + rank]
    group.copy(theirs)
    assert (theirs[0] == 0).all() and (theirs[1] == torch.arange(6.0).reshape(2, 3).T).all()
    group.wait()
    print(random.numpy().tobytes().hex()[:400], torch.get_num_threads(), sorted(os.sched_getaffinity(0)), sep="|")
"""
GONE = """
import os, sys, torch
from pathlib import Path
from penjing.training import workers
rank = int(sys.argv[1])
try:
    with workers.together(rank, 2, Path(sys.argv[3]), 1, 60.0) as group:
        if rank:
            os._exit(0)
        group.add([torch.ones(3)])
        group.add([torch.ones(3)])
except workers.Lost as error:
    print(error, flush=True)
    os._exit(0)
"""


def together(program: str, count: int, store: Path) -> list[str]:
    """Run `program` as `count` workers and return what they print."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    commands = [[sys.executable, "-c", program, str(rank), str(count), str(store)] for rank in range(count)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for command in commands]
    told = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * count
    return told


def test_sums_and_copies_are_the_same_on_all_and_each_has_a_core_of_its_own(tmp_path: Path) -> None:
    count = 2
    told = [line.strip().split("|") for line in together(ALL, count, tmp_path / "store")]
    assert len({sums for sums, _, _ in told}) == 1
    assert {threads for _, threads, _ in told} == {"1"}
    if len(os.sched_getaffinity(0)) >= count:
        assert len({cores for _, _, cores in told}) == count


def test_a_worker_that_is_gone_is_noticed(tmp_path: Path) -> None:
    told, _ = together(GONE, 2, tmp_path / "store")
    assert told.startswith("Another worker has gone, or does not answer: ")
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_shares_of_all_are_the_rows_each_once(count: int) -> None:
    rows = np.random.default_rng(0).permutation(20)[:7]
    shares = [Group(rank, count).share(rows) for rank in range(count)]
    assert sorted(np.concatenate(shares)) == sorted(rows)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_of_rows_in_the_order_of_their_length_all_have_about_as_much_to_do() -> None:
    lengths = np.sort(np.random.default_rng(0).integers(10, 250, 32))[::-1]
    work = [lengths[Group(rank, 2).share(np.arange(32))].sum() for rank in range(2)]
    assert max(work) / min(work) < 1.1


def test_one_alone_has_all_rows_and_adds_nothing() -> None:
    torch = pytest.importorskip("torch")
    alone, tensor = Alone(), torch.ones(2)
    alone.add([tensor])
    alone.copy([tensor])
    alone.wait()
    assert (tensor == 1).all()
    assert list(alone.share(np.arange(3))) == [0, 1, 2]


def test_tensors_are_summed_in_runs_of_one_kind_and_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(workers, "BUCKET_BYTES", 64)
    sizes = [(8, torch.float32), (8, torch.float32), (1, torch.float32), (100, torch.float32), (1, torch.float64), (1, torch.float32)]
    made = [torch.zeros(count, dtype=kind) for count, kind in sizes]
    found = list(workers._buckets(made))
    assert [[len(tensor) for tensor in bucket] for bucket in found] == [[8, 8], [1], [100], [1], [1]]
