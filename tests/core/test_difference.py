"""What is found by looking at hand-made sides; planted faults in real hand-overs are in tests/pipeline/test_parity_faults.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.blend import plain
from penjing.core.cascade import Cascade, Step
from penjing.core.difference import first_difference
from penjing.core.rows import ROW_ID
from penjing.core.tier import Tier
from penjing.core.types import Batch, NDArray, Ragged, Row
from penjing.plugins.engines.sparse_linear import SparseLinear
from penjing.plugins.processors.ngrams import Ngrams
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.plugins.tasks.text_regression import TextRegression

TASK = TextClassification("y", ["text"], ["a", "b"])
ROWS: list[Row] = [{"text": f"secret {'word ' * i}", "y": "a", ROW_ID: 100 + i} for i in range(12)]
BUCKETS = 64


def tier(name: str = "linear") -> Tier:
    random = np.random.default_rng(0)
    arrays = [random.normal(size=shape).astype(np.float32) for shape in ((BUCKETS, 2), 2)]
    emphasis = np.array([1.0, 0.5], np.float32)
    engine = SparseLinear(np.arange(BUCKETS, dtype=np.int32), np.ones(BUCKETS, np.float32), emphasis, *arrays, "logits")
    return Tier(name, TASK, Ngrams(["text"], buckets=BUCKETS), engine)


def with_engine(side: Tier, **arrays: Any) -> Tier:
    assert isinstance(side.engine, SparseLinear)
    return replace(side, engine=replace(side.engine, **arrays))


class Blind:
    """An engine that cannot be looked into."""

    def __init__(self, engine: Any, shift: NDArray) -> None:
        self.engine, self.shift = engine, shift

    def run(self, batch: Batch) -> Batch:
        return {"logits": self.engine.run(batch)["logits"] + self.shift[: len(batch["ends"])]}


def test_equal_sides_and_rounding_are_no_difference() -> None:
    assert first_difference(tier(), tier(), ROWS) is None
    rounded = tier().engine.weights * np.float32(1 + 1e-6)  # type: ignore[attr-defined]
    assert first_difference(with_engine(tier(), weights=rounded), tier(), ROWS) is None


def test_another_task_or_processor_is_told_before_anything_is_run() -> None:
    other = replace(tier(), task=TextRegression("y", ["text"], 0.0, 1.0))
    assert first_difference(other, tier(), ROWS) == "the task was text-classification before and is text-regression after"
    other = replace(tier(), processor=Ngrams(["text"], buckets=32))
    assert first_difference(other, tier(), ROWS) == "processor ngrams: buckets was 64 before and is 32 after"


def test_a_processor_that_changed_under_the_same_options_is_told_by_row_and_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the two sides were made by different versions of it."""

    @dataclass(frozen=True)
    class Other(Ngrams):
        def encode(self, rows: Sequence[Row]) -> Batch:
            batch = super().encode(rows)
            features = batch["features"]
            assert isinstance(features, Ragged)
            features.values[features.offsets[3] + 1] += 1
            return batch

    other = replace(tier(), processor=Other(["text"], buckets=BUCKETS))
    was = tier().processor.encode(ROWS)["features"][3][1]
    named = plugins.name_of
    monkeypatch.setattr(plugins, "name_of", lambda kind, thing: "ngrams" if kind == "processors" else named(kind, thing))
    position = f"'features', position 1, was {was} before and is {was + 1} after"
    found = first_difference(other, tier(), ROWS)
    assert found == f"the processor encodes row 103 differently by the same options: {position}"


def test_the_first_step_that_differs_is_named_with_how_many_answers_it_changes() -> None:
    bias = tier().engine.bias + np.array([0, 0.5], np.float32)  # type: ignore[attr-defined]
    found = first_difference(with_engine(tier(), bias=bias), tier(), ROWS)
    assert found is not None
    assert found.startswith("the engine differs first in step 'logits', by 0.5 where its values reach ")
    assert "the answers to 12 of 12 rows differ" in found
    assert "secret" not in found


def test_a_fault_that_one_row_meets_is_found_by_that_row() -> None:
    rows = [*ROWS, {"text": "zebra", ROW_ID: 200}]
    features = [set(tier().processor.encode(rows)["features"][i].tolist()) for i in range(len(rows))]
    idf = np.ones(BUCKETS, np.float32)
    idf[max(features[-1] - set.union(*features[:-1]))] = 3
    found = first_difference(with_engine(tier(), idf=idf), tier(), rows)
    assert found is not None
    assert found.startswith("the engine differs first in step 'feature values'")
    assert found.endswith("the answers to 1 of 13 rows differ, most that to row 200")


def test_an_engine_that_cannot_be_looked_into_is_told_by_its_output() -> None:
    shift = np.zeros((12, 2), np.float32)
    shift[7, 1] = 2
    logits = np.asarray(tier().outputs(ROWS)["logits"])[7, 1]
    other = replace(tier(), engine=Blind(tier().engine, shift))
    found = first_difference(other, tier(), ROWS)
    assert found == f"the output 'logits' differs most in row 107, for 'b': {logits:.4g} before and {logits + 2:.4g} after; 1 of 12 rows differ"


def test_a_number_that_is_none_is_a_difference() -> None:
    bias = np.array([0, np.nan], np.float32)
    assert "'logits', by inf" in str(first_difference(with_engine(tier(), bias=bias), tier(), ROWS))


def test_an_output_of_another_width_is_told() -> None:
    narrow = with_engine(tier(), weights=np.zeros((BUCKETS, 1), np.float32), bias=np.zeros(1, np.float32))
    blind = replace(narrow, engine=Blind(narrow.engine, np.zeros((12, 1))))
    assert first_difference(blind, tier(), ROWS) == "the output 'logits' was of shape (12, 2) before and is (12, 1) after"


def cascade(dear: Tier, threshold: float = 0.9) -> Cascade:
    steps = [
        Step(("cheap",), plain(["cheap"], 2, "softmax"), np.array([threshold])),
        Step(("cheap", "dear"), plain(["dear"], 2, "softmax"), np.zeros(0)),
    ]
    return Cascade("cascade", {"cheap": tier("cheap"), "dear": dear}, tuple(steps))


def test_a_cascade_is_told_by_its_thresholds_or_by_the_tier_that_changed() -> None:
    assert first_difference(cascade(tier("dear")), cascade(tier("dear")), ROWS) is None
    found = first_difference(cascade(tier("dear"), 0.8), cascade(tier("dear")), ROWS)
    assert found == "cascade: steps.0.thresholds.0 was 0.9 before and is 0.8 after"
    changed = with_engine(tier("dear"), bias=np.array([0, 9], np.float32))
    assert str(first_difference(cascade(changed), cascade(tier("dear")), ROWS)).startswith("tier 'dear': the engine differs first in step 'logits'")


def test_another_kind_of_predictor_in_its_place_is_told_by_its_name() -> None:
    found = first_difference(tier(), cascade(tier("dear")), ROWS)
    assert found == "the tier was called 'cascade' before and is called 'linear' after: another tier has taken its place"
