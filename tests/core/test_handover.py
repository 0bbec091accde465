from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penjing.core.handover import ROWS, compared, rows_of
from penjing.core.snapshot import Snapshot
from penjing.core.types import Batch, Prediction, Row
from penjing.plugins.tasks.text_classification import TextClassification

TASK = TextClassification("y", ["text"], ["a", "b"])


class Says:
    """A predictor, and no tier, that keeps the rows that it was asked."""

    name, task = "says", TASK

    def __init__(self, *sure: str) -> None:
        self.sure, self.asked = sure, 0

    def outputs(self, rows: Sequence[Row]) -> Batch:
        self.asked += len(rows)
        return {"logits": np.array([[0.0, 1.0 if row["text"] in self.sure else -1.0] for row in rows], np.float32)}

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        return TASK.decode(self.outputs(rows), rows)


def snapshot(folder: Path, **counts: int) -> Snapshot:
    for split in ("train", "validation"):
        rows = [{"text": f"{split} {i}", "y": "ab"[i % 2]} for i in range(counts[split])]
        schema = pa.schema([("text", pa.string()), ("y", pa.string())])
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{split}.parquet")
    return Snapshot(folder, TASK, ["text"], counts)


def test_validation_rows_go_through_both_sides_and_no_more_than_enough(tmp_path: Path) -> None:
    data = snapshot(tmp_path, train=5, validation=ROWS + 5)
    ours, theirs = Says(), Says("validation 0")
    measured = compared(ours, theirs, data, tmp_path)
    assert [m.name for m in measured] == ["parity", "largest_difference", "score_difference"]
    assert measured[0].value == (ROWS - 1) / ROWS
    assert measured[1].value == 2
    assert measured[2].value == 1 / ROWS, "the row is an 'a', as ours says"
    assert ours.asked == theirs.asked == ROWS


def test_without_validation_rows_it_is_the_training_rows(tmp_path: Path) -> None:
    assert [row["text"] for row in rows_of(snapshot(tmp_path, train=2, validation=0))] == ["train 0", "train 1"]
