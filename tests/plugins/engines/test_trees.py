"""The engine, compared with a walk from the root, node after node, on random trees. Parity with LightGBM is tested at the learner."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core.errors import RunFailed
from penjing.core.protocols import HasLayers
from penjing.core.types import Batch, NDArray, take
from penjing.plugins.engines.trees import Trees

NUMBERS, CODES = 3, 2
VALUES = np.array([-np.inf, -2.5, -1e-35, 0.0, 1e-40, 0.1, 1 / 3, 1.0, 2.5, 1e30, np.inf, np.nan], np.float32)
THRESHOLDS = [-2.5, -1e-35, 1e-35, 0.0, 0.1, 1 / 3, 1.0000000180025095, 0.99999999, 2.5, 1e300]
"""Some are values of rows, some lie a hair beside them, and some are no float32."""


@dataclass
class Node:
    feature: int
    threshold: float
    codes: set[int]
    missing_left: bool
    left: Any
    right: Any


def grown(random: np.random.Generator, leaves: int) -> Any:
    if leaves == 1:
        return float(random.normal())
    feature, left = int(random.integers(NUMBERS + CODES)), int(random.integers(1, leaves))
    codes = set(random.choice(70, 20).tolist())
    sides = grown(random, left), grown(random, leaves - left)
    return Node(feature, float(random.choice(THRESHOLDS)), codes, bool(random.integers(2)), *sides)


def walked(tree: Any, numbers: NDArray, codes: NDArray) -> float:
    while isinstance(tree, Node):
        if tree.feature >= NUMBERS:
            left = int(codes[tree.feature - NUMBERS]) in tree.codes
        else:
            value = float(numbers[tree.feature])
            value = 0.0 if abs(value) <= float(np.float32(1e-35)) else value
            left = tree.missing_left if np.isnan(value) else value <= tree.threshold
        tree = tree.left if left else tree.right
    return float(tree)


def engine_of(answers: Sequence[Sequence[Any]], pair: bool = False) -> Trees:
    nodes: list[tuple[Any, ...]] = []
    sets: list[NDArray] = []
    values: list[float] = []
    node_starts, leaf_starts = [0], [0]

    def written(tree: Any, first: int) -> int:
        if not isinstance(tree, Node):
            values.append(tree)
            return first + 1
        threshold = tree.threshold
        if tree.feature >= NUMBERS:
            threshold = float(len(sets))
            words = np.zeros(1 + max(tree.codes) // 32, np.uint32)
            for code in tree.codes:
                words[code // 32] |= np.uint32(1 << code % 32)
            sets.append(words)
        at = len(nodes)
        nodes.append(())
        middle = written(tree.left, first)
        nodes[at] = (tree.feature, threshold, tree.missing_left, first, middle)
        return written(tree.right, middle)

    for trees in answers:
        for tree in trees:
            written(tree, 0)
            node_starts.append(len(nodes))
            leaf_starts.append(len(values))
    feature, threshold, missing_left, first, middle = zip(*nodes, strict=True) if nodes else ((), (), (), (), ())
    return Trees(
        bias=np.arange(1.0, 1 + len(answers)) / 3,
        trees=np.cumsum([0, *map(len, answers)]),
        nodes=np.array(node_starts),
        feature=np.array(feature, np.int32),
        threshold=np.array(threshold, np.float64),
        missing_left=np.array(missing_left, np.bool_),
        first=np.array(first, np.int32),
        middle=np.array(middle, np.int32),
        leaves=np.array(leaf_starts),
        values=np.array(values),
        sets=np.cumsum([0, *map(len, sets)]),
        bits=np.concatenate([np.zeros(0, np.uint32), *sets]),
        output="logits",
        columns=(NUMBERS, CODES),
        pair=pair,
    )


def batch_of(count: int, seed: int = 0) -> Batch:
    random = np.random.default_rng(seed)
    codes = random.integers(-1, 75, (count, CODES))
    codes[: count // 10] = [np.iinfo(np.int32).max, np.iinfo(np.int32).min]
    return {"numbers": random.choice(VALUES, (count, NUMBERS)), "codes": codes.astype(np.int32)}


def expected(answers: Sequence[Sequence[Any]], batch: Batch) -> NDArray:
    rows = list(zip(np.asarray(batch["numbers"]), np.asarray(batch["codes"]), strict=True))
    sums = np.zeros((len(rows), len(answers)))
    for a, trees in enumerate(answers):
        for tree in trees:
            sums[:, a] += [walked(tree, *row) for row in rows]
    return (sums + np.arange(1.0, 1 + len(answers)) / 3).astype(np.float32)


def forest(sizes: Sequence[Sequence[int]], seed: int = 0) -> list[list[Any]]:
    random = np.random.default_rng(seed)
    return [[grown(random, leaves) for leaves in answer] for answer in sizes]


FOREST = forest([[31] * 70, [5, 1, 32, 2] * 5, []])
MODEL = engine_of(FOREST)
BATCH = batch_of(120)


@pytest.mark.parametrize(
    "sizes", [[[31] * 70], [[33, 64, 2] * 5], [[65, 200, 128, 1, 129]], [[1, 1], [1]], [[], []], [[8] * 3, [], [8] * 65, [40]]], ids=str
)
def test_every_row_ends_in_the_leaf_that_a_walk_ends_in_and_sums_are_the_same_to_the_bit(sizes: list[list[int]]) -> None:
    answers = forest(sizes, 3)
    batch = batch_of(100, 5)
    assert np.array_equal(engine_of(answers).run(batch)["logits"], expected(answers, batch))


def test_two_classes_are_zero_and_the_sum() -> None:
    said = np.asarray(engine_of(FOREST[:1], pair=True).run(BATCH)["logits"])
    assert np.array_equal(said, np.hstack([np.zeros((120, 1)), expected(FOREST[:1], BATCH)]))
    assert said.dtype == np.float32


def test_an_answer_does_not_depend_on_the_rows_beside_it_however_many() -> None:
    many = take(BATCH, np.arange(20_000) % 120)
    whole = np.asarray(MODEL.run(many)["logits"])
    for i in range(20):
        assert np.array_equal(np.asarray(MODEL.run(take(BATCH, np.array([i])))["logits"])[0], whole[i])
    assert np.array_equal(whole[19_920:], whole[:80])


def test_no_rows_give_no_answers() -> None:
    assert np.asarray(MODEL.run(take(BATCH, np.zeros(0, np.int64)))["logits"]).shape == (0, 3)


def test_a_table_without_columns_gets_the_bias() -> None:
    model = replace(engine_of(forest([[1, 1]])), columns=(0, 0))
    batch: Batch = {"numbers": np.zeros((2, 0), np.float32), "codes": np.zeros((2, 0), np.int32)}
    assert np.array_equal(model.run(batch)["logits"], np.full((2, 1), model.values.sum() + model.bias, np.float32))


def test_what_is_saved_opens_as_the_same_trees(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    assert np.array_equal(Trees.open(tmp_path).run(BATCH)["logits"], MODEL.run(BATCH)["logits"])
    assert Trees.open(tmp_path).columns == (NUMBERS, CODES)
    before = (tmp_path / "trees.safetensors").read_bytes()
    Trees.open(tmp_path).save(tmp_path)
    assert (tmp_path / "trees.safetensors").read_bytes() == before


def test_threads_get_the_same_answers() -> None:
    model = engine_of(FOREST)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: model.run(BATCH)["logits"], range(32)))
    assert all(np.array_equal(answer, MODEL.run(BATCH)["logits"]) for answer in answers)


def test_it_can_be_looked_into_block_by_block() -> None:
    assert isinstance(MODEL, HasLayers)
    steps = list(MODEL.layers(BATCH))
    assert [name for name, _ in steps] == ["answer 1, the first 64 trees", "answer 1, the first 70 trees", "answer 2, the first 20 trees", "logits"]
    assert np.array_equal(steps[-1][1], MODEL.run(BATCH)["logits"])
    assert np.array_equal((steps[1][1] + MODEL.bias[0]).astype(np.float32), steps[-1][1][:, 0])
    values = MODEL.values.copy()
    values[MODEL.leaves[66] : MODEL.leaves[67]] += 1
    other = [name for (name, ours), (_, theirs) in zip(steps, replace(MODEL, values=values).layers(BATCH), strict=True) if (ours != theirs).any()]
    assert other[0] == "answer 1, the first 70 trees"


def test_its_work_grows_with_rows_and_trees() -> None:
    assert MODEL.work(BATCH) > engine_of(FOREST[1:]).work(BATCH) > engine_of([[]]).work(BATCH) > 0
    assert MODEL.work(BATCH) == 120 * MODEL.work(take(BATCH, np.array([0])))


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0notjson!", b"\x02\0\0\0\0\0\0\0{}", b"\xff" * 64], ids=range(4))
def test_a_file_that_holds_no_trees_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trees.safetensors").write_bytes(content)
    with pytest.raises(RunFailed, match=r"trees\.safetensors"):
        Trees.open(tmp_path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    path = tmp_path / "trees.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(RunFailed, match=r"trees\.safetensors"):
        Trees.open(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"values": MODEL.values[:-1]},
        {"nodes": MODEL.nodes[:-1]},
        {"trees": MODEL.trees[::-1].copy()},
        {"first": MODEL.first - 1},
        {"middle": MODEL.middle + 300},
        {"feature": MODEL.feature + 1},
        {"threshold": MODEL.threshold * np.nan},
        {"bits": MODEL.bits[:-1]},
        {"columns": (NUMBERS - 1, CODES)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    replace(MODEL, **changed).save(tmp_path)
    with pytest.raises(RunFailed, match="do not fit together"):
        Trees.open(tmp_path)
