"""All rows are surveyed in one pass, lazily read or not, and what is odd is counted with the place of the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from penjing.core.tables.survey import CHUNK, JUDGED, spread, survey
from penjing.core.types import Row


class Lazy(Sequence[Row]):
    """Rows that are made when they are asked for, and count how many were."""

    def __init__(self, count: int) -> None:
        self.count, self.made = count, 0

    def __len__(self) -> int:
        return self.count

    @overload
    def __getitem__(self, which: int) -> Row: ...
    @overload
    def __getitem__(self, which: slice) -> Sequence[Row]: ...
    def __getitem__(self, which: Any) -> Any:
        places = range(self.count)[which]
        if isinstance(places, int):
            places = range(places, places + 1)
        self.made += len(places)
        return [{"n": str(i), "c": "ab"[i % 2]} for i in places]

    def __iter__(self) -> Iterator[Row]:
        return iter(self[0 : self.count])


def test_rows_may_be_lazily_read_and_are_read_once() -> None:
    rows = Lazy(CHUNK * 3 + 5)
    numbers, letters = survey(rows, ["n", "c"])
    assert np.array_equal(numbers.numbers, np.arange(len(rows)))
    assert letters.words == {"a": (len(rows) + 1) // 2, "b": len(rows) // 2}
    assert rows.made <= len(rows) + JUDGED


def test_few_rows_are_all_looked_at_and_many_from_end_to_end() -> None:
    assert len(spread(Lazy(10))) == 10
    sample = [int(row["n"]) for row in spread(Lazy(1_000_000), 1000)]
    assert len(sample) == 1000
    assert (min(sample), max(sample)) == (0, 999_999)
    assert max(np.diff(sample)) < 45_000


def test_odd_and_infinite_values_are_counted_with_the_row_of_the_first() -> None:
    values = [str(i) for i in range(1000)]
    values[17], values[500], values[600], values[3], values[4] = "abc", "def", "inf", "", "?"
    (found,) = survey([{"x": v} for v in values], ["x"])
    assert (found.odd.count, found.odd.example, found.odd.row) == (2, "abc", 18)
    assert (found.infinite.count, found.infinite.example, found.infinite.row) == (1, "inf", 601)
    assert found.missing == 5
    assert found.different == 995


def test_the_row_is_that_of_the_source_where_it_is_known() -> None:
    rows = [{"x": str(i), "penjing_row": 10 * i} for i in range(200)]
    rows[7]["x"] = "abc"
    assert survey(rows, ["x"])[0].odd.row == 70


def test_a_row_without_the_column_counts_as_missing() -> None:
    numbers, words = survey([{"n": 1, "w": "a"}, {}, {"n": 2, "w": ""}], ["n", "w"])
    assert (numbers.missing, words.missing, words.words) == (1, 2, {"a": 1})
