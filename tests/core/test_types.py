from __future__ import annotations

import numpy as np
import pytest

from penjing.core.examples import Examples
from penjing.core.types import Ragged, concatenate, take


def ragged() -> Ragged:
    return Ragged.of([[1, 2, 3], [], [4]], np.int32)


def test_taking_rows_keeps_each_whole_and_in_the_order_asked() -> None:
    taken = ragged().take(np.array([2, 0, 0, 1]))
    assert [taken[i].tolist() for i in range(4)] == [[4], [1, 2, 3], [1, 2, 3], []]


def test_padding_fills_up_and_marks_what_is_real() -> None:
    values, mask = ragged().padded(-1)
    assert values.tolist() == [[1, 2, 3], [-1, -1, -1], [4, -1, -1]]
    assert mask.sum(axis=1).tolist() == [3, 0, 1]


def test_padding_a_slice_of_a_larger_array_uses_its_own_values() -> None:
    part = Ragged(ragged().values, ragged().offsets[2:])
    assert part.padded()[0].tolist() == [[4]]


def test_concatenating_is_the_inverse_of_taking() -> None:
    batch = {"ids": ragged(), "x": np.arange(3.0)}
    joined = concatenate([take(batch, np.array([0])), take(batch, np.array([1, 2]))])
    assert [joined["ids"][i].tolist() for i in range(3)] == [[1, 2, 3], [], [4]]
    assert joined["x"].tolist() == [0, 1, 2]  # type: ignore[union-attr]


@pytest.mark.parametrize("rows", [0, 3])
def test_examples_come_back_from_the_disk_as_they_went(tmp_path: object, rows: int) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path)) / "e"
    batch, target = take({"ids": ragged(), "x": np.arange(3.0)}, np.arange(rows)), np.arange(rows)
    written = Examples.write(folder, [(batch, target)])
    assert len(written) == rows
    inputs, back = written.batch(np.arange(rows)[::-1])
    assert back.tolist() == target[::-1].tolist()
    assert [inputs["ids"][i].tolist() for i in range(rows)] == [ragged()[i].tolist() for i in range(rows)][::-1]
