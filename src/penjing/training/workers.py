"""Several processes that learn one model together: their sums go over torch.distributed (gloo between processors, nccl between CUDA devices).

Knows no net, no loop and no learner. A sum has the same bits on every worker, so that weights that begin alike stay alike.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from penjing.core.errors import RunFailed
from penjing.core.types import NDArray

BUCKET_BYTES = 25 << 20
"""Tensors are summed in runs of about this many bytes: few enough calls to be quick, and a copy that stays small."""


class Lost(RunFailed):
    """Another worker has gone, or does not answer."""


class Group:
    """This worker among `count`, as core.learning.workers.Workers wants one. Made by `together`."""

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count

    def share(self, rows: NDArray) -> NDArray:
        """Return every `count`-th row: of rows in the order of their length the shares are about alike in work."""
        return rows[self.rank :: self.count]

    def add(self, tensors: Sequence[Any]) -> None:
        """Raises Lost."""
        for bucket in _buckets(tensors):
            if len(bucket) == 1 and bucket[0].is_contiguous():
                _reduced(bucket[0].detach())
                continue
            flat = _reduced(torch.cat([tensor.detach().reshape(-1) for tensor in bucket]))
            parts = flat.split([tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.detach().copy_(part.view_as(tensor))

    def copy(self, tensors: Sequence[Any]) -> None:
        """Raises Lost."""
        for tensor in tensors:
            told = tensor.detach().contiguous()
            with _lost_plainly():
                torch.distributed.broadcast(told, src=0)
            tensor.detach().copy_(told)

    def wait(self) -> None:
        """Raises Lost."""
        with _lost_plainly():
            torch.distributed.barrier()


@contextmanager
def together(rank: int, count: int, store: Path, threads: int, patience_seconds: float) -> Iterator[Group]:
    """Yield this worker once all `count` are here.

    store: a file that is not there yet, the same for all and for this one time. threads: of this worker, on cores of its own where there are
    enough. patience_seconds: how long another may be silent. Raises Lost.
    """
    _settle(rank, count, threads)
    # Nothing is said beyond this machine, and no name of it is looked up.
    os.environ["GLOO_SOCKET_IFNAME"] = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _lost_plainly():
        meeting = torch.distributed.FileStore(str(store), count)
        torch.distributed.init_process_group(backend, None, timedelta(seconds=patience_seconds), count, rank, meeting)
    yield Group(rank, count)
    # Only where all went well: it waits for the others.
    torch.distributed.destroy_process_group()


def _settle(rank: int, count: int, threads: int) -> None:
    """Give this worker its threads, and cores that no other worker has."""
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.cuda.set_device(rank % torch.cuda.device_count())
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if count * threads <= len(cores):
            os.sched_setaffinity(0, cores[rank * threads : (rank + 1) * threads])


def _buckets(tensors: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield runs of tensors of one kind and about `BUCKET_BYTES`; a larger one alone."""
    bucket: list[Any] = []
    held = 0
    for tensor in tensors:
        nbytes = tensor.numel() * tensor.element_size()
        if bucket and (held + nbytes > BUCKET_BYTES or (tensor.dtype, tensor.device) != (bucket[0].dtype, bucket[0].device)):
            yield bucket
            bucket, held = [], 0
        bucket.append(tensor)
        held += nbytes
    if bucket:
        yield bucket


def _reduced(tensor: Any) -> Any:
    with _lost_plainly():
        torch.distributed.all_reduce(tensor)
    return tensor


@contextmanager
def _lost_plainly() -> Iterator[None]:
    """Turn what torch says of a broken connection into one sentence. Raises Lost."""
    try:
        yield
    except RuntimeError as error:
        raise Lost(f"Another worker has gone, or does not answer: {str(error).splitlines()[0]}") from error
