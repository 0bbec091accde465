"""States of frozen layers: the same from disk, from memory and computed afresh, and gone on with after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from penjing.core.types import Ragged
from penjing.core.workers import Alone
from penjing.training.texts import prefix as module
from penjing.training.texts.packed import Packed
from penjing.training.texts.prefix import Afresh, Kept, Some, prefix


def way(precision: str = "f32") -> Packed:
    return Packed(tiny.body(layers=3).eval(), precision)


def texts(count: int = 1300) -> Ragged:
    random = np.random.default_rng(1)
    return Ragged.of([random.integers(5, 50, length) for length in random.integers(1, 30, count)], np.int32)


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_states_are_those_of_the_lower_layers_wherever_they_are_kept(tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, ids, rows = way(precision), texts(), np.array([700, 3, 1299])
    with torch.no_grad():
        some = ids.take(rows)
        expected = reads.through(reads.embedded(some), some.lengths, 0, 2)
    found = {"disk": prefix(reads, ids, 2, "m", tmp_path / "disk", lambda rows: None)}
    monkeypatch.setattr(module, "free_disk_bytes", lambda folder: 0)
    found["memory"] = prefix(reads, ids, 2, "m", tmp_path / "memory", lambda rows: None)
    monkeypatch.setattr(module, "_SPARE", 1 << 60)
    found["afresh"] = prefix(reads, ids, 2, "m", tmp_path / "afresh", lambda rows: None)
    assert [type(one) for one in found.values()] == [Kept, Kept, Afresh]
    for where, one in found.items():
        state = one.take(rows)
        assert state.dtype == reads.dtype, where
        assert not state.requires_grad, where
        assert torch.allclose(state.float(), expected.float(), atol=1e-5 if precision == "f32" else 0.05), where


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_states_further_up_go_on_from_those_below_to_the_same_bits(tmp_path: Path, precision: str) -> None:
    reads, ids = way(precision), texts()
    lower = prefix(reads, ids, 1, "m", tmp_path, lambda rows: None)
    at_once = prefix(reads, ids, 2, "m", tmp_path / "at once", lambda rows: None)
    gone_on = prefix(reads, ids, 2, "m", tmp_path / "gone on", lambda rows: None, below=(1, lower))
    assert torch.equal(gone_on.take(np.arange(1300)), at_once.take(np.arange(1300)))


def test_some_of_the_texts_have_the_states_they_had_among_all(tmp_path: Path) -> None:
    whole = prefix(way(), texts(), 1, "m", tmp_path, lambda rows: None)
    assert torch.equal(Some(whole, np.array([7, 900, 4])).take(np.array([2, 0])), whole.take(np.array([4, 7])))


def test_a_killed_reading_goes_on_where_it_was(tmp_path: Path) -> None:
    reads, ids, done = way(), texts(), 0.0

    def kill(rows: float) -> None:
        nonlocal done
        done += rows
        if done > 600:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prefix(reads, ids, 1, "m", tmp_path, kill)
    told: list[float] = []
    again = prefix(reads, ids, 1, "m", tmp_path, told.append)
    assert told[0] == 1024
    assert sum(told) == 1300
    whole = prefix(reads, ids, 1, "m", tmp_path / "other", lambda rows: None)
    assert torch.equal(again.take(np.arange(1300)), whole.take(np.arange(1300)))


def test_a_worker_begins_with_its_share_and_passes_over_what_another_has_done(tmp_path: Path) -> None:
    reads, ids, other = way(), texts(), Alone()
    other.rank, other.count = 1, 3

    def kill(rows: float) -> None:
        if rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prefix(reads, ids, 1, "m", tmp_path, kill, other)
    told: list[float] = []
    found = prefix(reads, ids, 1, "m", tmp_path, told.append)
    assert told == [512, 512, 276]
    whole = prefix(reads, ids, 1, "m", tmp_path / "other", lambda rows: None)
    assert torch.equal(found.take(np.arange(1300)), whole.take(np.arange(1300)))


def test_a_finished_reading_is_not_done_again(tmp_path: Path) -> None:
    reads, ids = way(), texts(40)
    first = prefix(reads, ids, 1, "m", tmp_path, lambda rows: None).take(np.arange(40)).clone()
    with torch.no_grad():
        reads.body.embeddings.word_embeddings.weight.zero_()  # would show, were anything read again
    assert torch.equal(prefix(reads, ids, 1, "m", tmp_path, lambda rows: None).take(np.arange(40)), first)
    assert not torch.equal(prefix(reads, ids, 1, "changed", tmp_path, lambda rows: None).take(np.arange(40)), first)


def test_no_texts_have_no_states(tmp_path: Path) -> None:
    assert prefix(way(), texts(0), 1, "m", tmp_path, lambda rows: None).take(np.zeros(0, np.int64)).shape == (0, 32)
