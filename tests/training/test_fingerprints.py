"""What a learning depends on is told apart, and the same is the same."""

from __future__ import annotations

import numpy as np

from penjing.core.examples import Examples
from penjing.core.types import Ragged
from penjing.training.fingerprints import of_examples


def examples() -> Examples:
    random = np.random.default_rng(0)
    return Examples({"x": random.normal(size=(20, 3)).astype(np.float32)}, random.integers(0, 2, 20))


def test_examples_are_told_apart_by_all_that_is_learnt_from() -> None:
    one = examples()
    others = [
        Examples({"x": np.asarray(one.inputs["x"]) + 1}, one.target),
        Examples(one.inputs, 1 - one.target),
        Examples(one.inputs, one.target, np.full(20, 2, np.float32)),
    ]
    assert len({of_examples(part) for part in (one, examples(), *others)}) == 4


def test_texts_are_told_apart_by_their_tokens_and_by_where_one_ends() -> None:
    def texts(*ids: list[int]) -> Examples:
        return Examples({"input_ids": Ragged.of([np.array(one) for one in ids], np.int32)}, np.zeros(len(ids), np.int64))

    assert len({of_examples(part) for part in (texts([1, 2], [3]), texts([1, 2], [3]), texts([1], [2, 3]), texts([1, 2], [4]))}) == 3
