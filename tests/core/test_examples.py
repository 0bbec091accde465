from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penjing.core.errors import DataError
from penjing.core.examples import Examples
from penjing.core.types import Batch, NDArray, Ragged, Spec, take


def batches(count: int = 3) -> list[tuple[Batch, np.ndarray]]:
    rng = np.random.default_rng(0)
    made = []
    for size in range(1, count + 1):
        texts = Ragged.of([rng.integers(0, 9, rng.integers(0, 4)) for _ in range(size)], "int32")
        made.append(({"ids": texts, "pixels": rng.integers(0, 255, (size, 2, 3)).astype(np.uint8)}, np.arange(size)))
    return made


def test_batches_written_one_by_one_read_as_one(tmp_path: Path) -> None:
    made = batches()
    examples = Examples.write(tmp_path / "e", made)
    assert len(examples) == 6
    ids, pixels = examples.inputs["ids"], examples.inputs["pixels"]
    assert isinstance(ids, Ragged)
    assert isinstance(pixels, np.ndarray)
    np.testing.assert_array_equal(pixels, np.concatenate([b["pixels"] for b, _ in made]))
    written = [b["ids"] for b, _ in made]
    assert [ids[i].tolist() for i in range(6)] == [text[i].tolist() for text in written for i in range(len(text))]
    assert examples.target.tolist() == [0, 0, 1, 0, 1, 2]
    assert isinstance(np.load(tmp_path / "e" / "pixels.npy", mmap_mode="r"), np.memmap)


def test_a_part_of_a_ragged_array_is_written_as_it_stands_alone(tmp_path: Path) -> None:
    (batch, target) = batches()[2]
    part = take(batch, np.array([1, 2]))
    whole = Examples.write(tmp_path / "e", [(part, target[1:])])
    assert [whole.inputs["ids"][i].tolist() for i in range(2)] == [batch["ids"][i].tolist() for i in (1, 2)]


def test_weights_are_kept_and_are_one_where_none_were_given(tmp_path: Path) -> None:
    weighed = Examples.write(tmp_path / "w", batches(2), [np.array([0.5]), np.array([1.0, 1.5])])
    assert Examples.open(tmp_path / "w").weights(np.array([2, 0])).tolist() == [1.5, 0.5]
    assert weighed.weight is not None
    plain = Examples.write(tmp_path / "p", batches(2))
    assert plain.weight is None
    assert plain.weights(np.array([0, 1])).tolist() == [1.0, 1.0]


def test_a_write_that_fails_is_not_taken_for_whole(tmp_path: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield batches()[0]
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        Examples.write(tmp_path / "b", broken())
    assert not Examples.exists(tmp_path / "b")


@pytest.mark.parametrize(
    ("target", "word"),
    [
        (np.array([0, 1, 5]), "1 of 3 encoded rows .* row 2 .* from 0 to 2"),
        (np.array([-1, 1, 0]), "row 0"),
        (np.array([[0.1, 0.2, np.nan]], np.float32), "3 finite numbers"),
        (np.zeros((4, 2), np.float32), "4 of 4"),
    ],
)
def test_a_target_out_of_range_is_refused_by_its_row(target: NDArray, word: str) -> None:
    with pytest.raises(DataError, match=word):
        Examples({"x": np.zeros((len(target), 1))}, target).check(Spec(3, "softmax"))


def test_targets_in_range_pass() -> None:
    for target in (np.array([0, 2]), np.zeros((0,), np.int64), np.full((2, 3), 1 / 3, np.float32)):
        Examples({"x": np.zeros((len(target), 1))}, target).check(Spec(3, "softmax"))
