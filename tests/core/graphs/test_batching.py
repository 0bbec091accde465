"""Ragged sequences through rectangles: nothing lost, nothing reordered, nothing larger than the budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penjing.core.errors import RunFailed
from penjing.core.files import read_json
from penjing.core.graphs.batching import Described, groups, rectangle, run_in_rectangles, token_ids
from penjing.core.types import NDArray, Ragged, Spec

RAGGED = Ragged.of([[1] * n for n in (3, 40, 0, 7, 200, 1)], np.int32)


def test_every_sequence_is_in_one_group_and_no_group_is_over_the_budget() -> None:
    found = list(groups(RAGGED.lengths, 64))
    assert sorted(np.concatenate(found)) == list(range(6))
    assert all(len(rows) == 1 or len(rows) * RAGGED.lengths[rows].max() <= 64 for rows in found)


def test_outputs_come_back_in_the_order_asked() -> None:
    def length(ids_BT: NDArray, mask_BT: NDArray) -> NDArray:
        return (ids_BT * mask_BT).sum(axis=1, keepdims=True)

    assert run_in_rectangles(RAGGED, 1, 0, length, tokens=64)[:, 0].tolist() == [3, 40, 0, 7, 200, 1]


def test_an_empty_sequence_is_read_as_one_pad() -> None:
    ids_BT, mask_BT = rectangle(RAGGED.take(np.array([2, 0])), pad=9)
    assert ids_BT.tolist() == [[9, 9, 9], [1, 1, 1]]
    assert mask_BT.tolist() == [[1, 0, 0], [1, 1, 1]]


def test_no_sequences_give_no_rows() -> None:
    assert run_in_rectangles(Ragged.of([], np.int32), 3, 0, lambda ids, mask: ids).shape == (0, 3)


def test_the_batch_of_another_processor_is_refused() -> None:
    with pytest.raises(TypeError, match="found pixels"):
        token_ids({"pixels": np.zeros(3)})


def test_what_an_engine_must_know_is_read_as_it_was_written(tmp_path: Path) -> None:
    described = Described("logits", Spec(3, "softmax"), 1)
    described.write(tmp_path)
    assert Described.read(tmp_path) == described


def test_exits_are_described_and_name_the_graphs(tmp_path: Path) -> None:
    described = Described("logits", Spec(3, "softmax"), 1, 16, (2, 4))
    described.write(tmp_path)
    assert Described.read(tmp_path) == described
    with pytest.raises(RunFailed, match=r"segment-1\.xml is missing"):
        Described.with_graphs(tmp_path, ".xml", ".bin")
    for name in ("segment-1.xml", "segment-1.bin", "segment-2.xml", "segment-2.bin", "segment-3.xml"):
        (tmp_path / name).touch()
    with pytest.raises(RunFailed, match=r"segment-3\.bin is missing"):
        Described.with_graphs(tmp_path, ".xml", ".bin")
    (tmp_path / "segment-3.bin").touch()
    assert Described.with_graphs(tmp_path, ".xml", ".bin") == (described, [tmp_path / f"segment-{i}.xml" for i in (1, 2, 3)])


def test_an_encoder_in_one_piece_is_described_without_a_word_of_exits(tmp_path: Path) -> None:
    Described("logits", Spec(3, "softmax"), 1, multiplied=(96,)).write(tmp_path)
    assert read_json(tmp_path / "engine.json") == {"outputs": {"logits": {"width": 3, "link": "softmax"}}, "pad": 1, "multiplied": [96]}


def test_a_folder_with_nothing_to_run_is_told_by_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"engine\.json is missing"):
        Described.read(tmp_path)
    Described("logits", Spec(3, "softmax"), 1).write(tmp_path)
    with pytest.raises(RunFailed, match=r"model\.xml is missing"):
        Described.read(tmp_path, "model.xml")
    (tmp_path / "engine.json").write_text("{}")
    with pytest.raises(RunFailed, match="does not describe an engine"):
        Described.read(tmp_path)
