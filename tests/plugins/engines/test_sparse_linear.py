"""The engine, compared with its own description written out row by row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from penjing.core.errors import RunFailed
from penjing.core.types import Batch, NDArray, Ragged, take
from penjing.plugins.engines.sparse_linear import SparseLinear

RNG = np.random.default_rng(0)
MODEL = SparseLinear(
    buckets=RNG.permutation(40)[:25].astype(np.int32),
    idf=RNG.uniform(1, 5, 25).astype(np.float32),
    emphasis=np.array([1.0, 0.5], np.float32),
    weights=RNG.normal(size=(25, 3)).astype(np.float32),
    bias=np.array([0.5, -1.0, 2.0], np.float32),
    output="logits",
)


def batch_of(rows: list[list[int]]) -> Batch:
    """Return rows of buckets; those below 20 are words."""
    counts = [[1 + bucket % 4 for bucket in row] for row in rows]
    ends = [[sum(bucket < 20 for bucket in row), len(row)] for row in rows]
    return {"features": Ragged.of(rows, np.int32), "counts": Ragged.of(counts, np.uint8), "ends": np.array(ends, np.int32).reshape(len(rows), 2)}


ROWS = [
    [0, 3, 7, 19, 21, 30, 39],
    [],
    [1, 2],
    [25, 26, 27, 28],
    [bucket for bucket in range(40) if bucket not in MODEL.buckets],
    list(range(40)),
    [5, 39, 1000, 1 << 26],
]
BATCH = batch_of(ROWS)


def expected(row: list[int]) -> NDArray:
    places = {int(bucket): i for i, bucket in enumerate(MODEL.buckets)}
    groups = [
        [(places[b], (1 + np.log(1 + b % 4)) * MODEL.idf[places[b]]) for b in row if b in places and (b < 20) == words] for words in (True, False)
    ]
    x = np.zeros(25)
    for group, emphasis in zip(groups, MODEL.emphasis, strict=True):
        for place, value in group:
            x[place] = emphasis * value / np.sqrt(sum(v * v for _, v in group))
    return x / max(np.linalg.norm(x), 1e-9) @ MODEL.weights + MODEL.bias


def test_an_answer_is_what_the_description_says() -> None:
    """Float32 sums of at most 40 products."""
    np.testing.assert_allclose(MODEL.run(BATCH)["logits"], [expected(row) for row in ROWS], rtol=1e-5, atol=1e-5)


def test_rows_without_a_known_feature_get_the_bias() -> None:
    answers = np.asarray(MODEL.run(BATCH)["logits"])
    assert np.array_equal(answers[[1, 4]], [MODEL.bias, MODEL.bias])


def test_an_answer_does_not_depend_on_the_rows_beside_it() -> None:
    whole = MODEL.run(BATCH)["logits"]
    for i in range(len(ROWS)):
        alone = MODEL.run(take(BATCH, np.array([i])))["logits"]
        assert np.array_equal(alone[0], whole[i])


def test_no_rows_give_no_answers() -> None:
    assert np.asarray(MODEL.run(batch_of([]))["logits"]).shape == (0, 3)


def test_what_is_saved_opens_as_the_same_model_mapped_into_memory(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    opened = SparseLinear.open(tmp_path)
    assert np.array_equal(opened.run(BATCH)["logits"], MODEL.run(BATCH)["logits"])
    assert isinstance(opened.weights.base, np.memmap)
    assert not opened.weights.flags.writeable


def test_a_model_without_features_answers_with_its_bias(tmp_path: Path) -> None:
    empty = np.zeros(0, np.float32)
    SparseLinear(empty.astype(np.int32), empty, MODEL.emphasis, np.zeros((0, 3), np.float32), MODEL.bias, "logits").save(tmp_path)
    assert np.array_equal(SparseLinear.open(tmp_path).run(BATCH)["logits"], np.tile(MODEL.bias, (len(ROWS), 1)))


def test_threads_get_the_same_answers() -> None:
    model = SparseLinear(MODEL.buckets, MODEL.idf, MODEL.emphasis, MODEL.weights, MODEL.bias, "logits")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: model.run(BATCH)["logits"], range(32)))
    assert all(np.array_equal(answer, MODEL.run(BATCH)["logits"]) for answer in answers)


@pytest.mark.parametrize(
    "content", [b"", b"\x08\0\0\0\0\0\0\0notjson!", b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 64], ids=range(5)
)
def test_a_file_that_is_no_model_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "linear.safetensors").write_bytes(content)
    with pytest.raises(RunFailed, match=r"linear\.safetensors"):
        SparseLinear.open(tmp_path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    path = tmp_path / "linear.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(RunFailed, match=r"linear\.safetensors"):
        SparseLinear.open(tmp_path)


def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    SparseLinear(MODEL.buckets, MODEL.idf, MODEL.emphasis, MODEL.weights[:-1], MODEL.bias, "logits").save(tmp_path)
    with pytest.raises(RunFailed, match="do not fit together"):
        SparseLinear.open(tmp_path)
