from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from penjing.core import asked
from penjing.core.protocols import Silent
from penjing.core.types import Batch, Row
from penjing.plugins.tasks.text_classification import TextClassification


class Echo:
    """A predictor that says the row's own numbers."""

    name = "echo"
    task = TextClassification("rating", ["text"], ["a", "b"])

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def outputs(self, rows: Sequence[Row]) -> Batch:
        self.sizes.append(len(rows))
        return {"logits": np.array([row["said"] for row in rows], np.float64)}


class Advance(Silent):
    done = 0.0

    def advance(self, done: float, note: str = "") -> None:
        self.done += done


@pytest.mark.parametrize("count", [0, 1, asked.CHUNK, asked.CHUNK + 1, 1000])
def test_all_rows_are_asked_in_their_order_and_some_hundred_at_a_time(count: int) -> None:
    echo, progress = Echo(), Advance()
    rows = [{"said": [i, -i]} for i in range(count)]
    said_BW = asked.ask(echo, rows, progress)  # type: ignore[arg-type]
    assert said_BW.dtype == np.float32
    assert said_BW.tolist() == [[i, -i] for i in range(count)]
    assert max(echo.sizes, default=0) <= asked.CHUNK
    assert progress.done == count


def test_what_each_member_said_is_kept_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "measured").mkdir()
    for name, value in {"deep@exit-1": 1.0, "deep": 2.0}.items():
        asked.keep(tmp_path, name, np.full((3, 2), value, np.float32))
    assert asked.kept(tmp_path, "deep@exit-1").tolist() == [[1, 1]] * 3
    assert asked.kept(tmp_path, "deep").tolist() == [[2, 2]] * 3
    assert len(list((tmp_path / "measured").iterdir())) == 2
