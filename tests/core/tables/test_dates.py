"""Dates are read in the spellings of files, the same alone and in a column, and never guessed silently."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penjing.core.tables.dates import DateFormat, format_of, iso, seconds

NOON = datetime(2026, 11, 23, 12, 30, 15, tzinfo=UTC).timestamp()
DAY = datetime(2026, 11, 23, tzinfo=UTC).timestamp()


def read(*values: Any, name: str = "") -> list[float]:
    """Return `values` as seconds, by the format found from them."""
    found = format_of(values, name)
    assert found is not None
    return seconds(values, found).tolist()


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23",
        "2026/11/23",
        "2026.11.23",
        "2026年11月23日",
        "20261123",
        "23.11.2026",
        "23.11.26",
        "23/11/2026",
        "11/23/2026",
        "11/23/26",
        "23-11-2026",
        "23-Nov-2026",
        "23 November 2026",
        "Nov 23 2026",
        "November 23, 2026",
        "Mon, 23 Nov 2026",
        " 2026-11-23 ",
    ],
)
def test_a_day_is_read_in_every_spelling(text: str) -> None:
    assert read(text) == [DAY]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T12:30:15",
        "2026-11-23 12:30:15",
        "2026-11-23T12:30:15Z",
        "2026-11-23T13:30:15+01:00",
        "2026-11-23T07:00:15-0530",
        "20261123T123015",
        "23.11.2026 12:30:15",
        "11/23/2026 12:30:15 PM",
        "Mon, 23 Nov 2026 12:30:15 GMT",
        "November 23, 2026, 12:30:15",
    ],
)
def test_a_time_of_day_and_its_zone_are_read(text: str) -> None:
    assert read(text) == [NOON]


def test_fractions_of_a_second_and_the_hours_around_noon_and_midnight_are_read() -> None:
    assert read("2026-11-23 12:30:15.25") == [NOON + 0.25]
    assert read("11/23/2026 12:05 AM", "11/23/2026 1:05 pm") == [DAY + 300, DAY + 13 * 3600 + 300]


def test_a_month_without_a_day_is_its_first() -> None:
    assert read("2026-11") == [datetime(2026, 11, 1, tzinfo=UTC).timestamp()]


def test_objects_of_databases_are_read() -> None:
    there = timezone(timedelta(hours=2))
    values = [
        date(2026, 11, 23),
        datetime(2026, 11, 23),
        datetime(2026, 11, 23, 2, tzinfo=there),
        pd.Timestamp("2026-11-23"),
        np.datetime64("2026-11-23"),
    ]
    assert read(*values) == [DAY] * 5
    assert np.isnan(seconds([pd.NaT, np.datetime64("NaT"), None, float("nan"), True], DateFormat())).all()


@pytest.mark.parametrize(("text", "month_first"), [("23/11/2026", False), ("11/23/2026", True)])
def test_a_part_above_twelve_says_whether_the_month_comes_first(text: str, month_first: bool) -> None:
    found = format_of(["1/2/2026", "3/4/2026", text])
    assert found is not None
    assert (found.month_first, found.sure) == (month_first, True)
    expected = datetime(2026, 1, 2, tzinfo=UTC) if month_first else datetime(2026, 2, 1, tzinfo=UTC)
    assert seconds(["1/2/2026"], found)[0] == expected.timestamp()


def test_an_undecidable_order_is_day_first_and_unsure_but_for_dots() -> None:
    unsure, dots = format_of(["1/2/2026", "3/4/2026"]), format_of(["01.02.2026", "03.04.2026"])
    assert unsure is not None
    assert dots is not None
    assert (unsure.month_first, unsure.sure, dots.sure) == (False, False, True)


def test_numbers_count_seconds_or_milliseconds_only_where_the_name_says_so() -> None:
    assert read(str(int(NOON)), name="created_at") == [NOON]
    assert read(int(NOON * 1000), name="event time") == [NOON]
    assert format_of([str(int(NOON))], "price") is None
    assert format_of(["12", "15"], "time_in_queue") is None


@pytest.mark.parametrize(
    "values", [["abc"], ["12:30"], ["5-10"], ["192.168.1.1"], ["3.11.15", "3.12.1"], ["99999999"], ["2026"], ["13-45-2026"], ["12 Foo 2026"], []]
)
def test_what_is_no_date_is_none(values: list[str]) -> None:
    assert format_of(values) is None


def test_a_day_that_no_calendar_has_is_missing() -> None:
    found = format_of(["2026-02-28"])
    assert found is not None
    assert np.isnan(seconds(["2026-02-31", "30.02.2026", "2026-13-01", "x", ""], found)).all()


def test_more_than_one_odd_value_in_a_hundred_makes_no_dates() -> None:
    assert format_of(["2026-11-23"] * 199 + ["later"]) is not None
    assert format_of(["2026-11-23"] * 90 + ["later"] * 10) is None


def test_a_column_of_several_spellings_is_read_and_they_are_named() -> None:
    values = ["2026-11-23", "23.11.2026", "2026-11-23", "Nov 23, 2026"]
    found = format_of(values)
    assert found is not None
    assert found.forms == ("year-month-day", "day-month-year", "name-day-year")
    assert seconds(values, found).tolist() == [DAY] * 4


def test_a_client_may_always_write_iso() -> None:
    found = format_of(["11/23/2026"])
    assert found is not None
    assert seconds(["2026-11-23"], found).tolist() == [DAY]


@pytest.mark.parametrize("second", [0.0, NOON, DAY, -86400.0 * 40000, 1.0])
def test_iso_text_is_read_back(second: float) -> None:
    assert read(iso(second)) == [second]
    assert datetime.fromisoformat(iso(second)).replace(tzinfo=UTC).timestamp() == second


def test_all_days_of_a_century_agree_with_pandas() -> None:
    days = pd.date_range("1950-01-01", "2049-12-31", freq="7D")
    expected = days.to_numpy().astype("datetime64[s]").astype(np.int64)
    for spelling in ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d %b %Y", "%B %d, %Y", "%Y%m%d"):
        assert np.array_equal(read(*days.strftime(spelling)), expected), spelling
