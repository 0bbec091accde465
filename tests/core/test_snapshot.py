from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penjing.core.snapshot import Rows


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    pq.write_table(pa.table({"n": list(range(25))}), tmp_path / "rows.parquet", row_group_size=10)
    return Rows(tmp_path / "rows.parquet")


def test_rows_on_the_disk_read_like_a_list(rows: Rows) -> None:
    numbers = list(range(25))
    assert len(rows) == 25
    assert [row["n"] for row in rows] == numbers
    for where in (slice(None), slice(8, 13), slice(20, 99), slice(None, None, 7), slice(-3, None), slice(24, 3, -5), slice(5, 5)):
        assert [row["n"] for row in rows[where]] == numbers[where]
    assert rows[-1]["n"] == 24
    assert rows[9]["n"] == 9
    with pytest.raises(IndexError):
        rows[25]


def test_chunks_come_as_they_lie_in_the_file_or_as_large_as_asked(rows: Rows) -> None:
    assert [len(chunk) for chunk in rows.chunks()] == [10, 10, 5]
    assert [len(chunk) for chunk in rows.chunks(4)] == [4] * 6 + [1]


def test_a_file_without_rows_has_none(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    none = Rows(tmp_path / "none.parquet")
    assert not none
    assert list(none) == []
    assert none[:5] == []
    assert list(none.chunks()) == []
