"""A column is judged by how its values are spelt, and then reads any value the same way."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core.tables.columns import Column, judge, missing, numbers, numeric_share, word


def kind(*values: Any, name: str = "x") -> str:
    return judge(values, name).kind


def read(*values: Any) -> list[float]:
    return numbers(judge(values, "x"), values).tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["39", " 40 ", "-1.5e3"], [39, 40, -1500]),
        ([39, 40.5, True, Decimal("1.5"), np.float32(2)], [39, 40.5, 1, 1.5, 2]),
        (["1,234.5", "12"], [1234.5, 12]),
        (["1.234,5", "12"], [1234.5, 12]),
        (["1,5", "2,75"], [1.5, 2.75]),
        (["0,125", "0,250"], [0.125, 0.25]),
        (["1,234", "5,678"], [1234, 5678]),
        (["1.234.567", "1.000"], [1234567, 1000]),
        (["1 234", "1\u00a0234,5"], [1234, 1234.5]),
        (["1'234.50", "1’000"], [1234.5, 1000]),
        (["12%", "3.5 %"], [12, 3.5]),
        (["$1,200", "€ 3", "-5"], [1200, 3, -5]),
        (["\u22125", "+5"], [-5, 5]),
    ],
)
def test_numbers_are_read_in_many_spellings(values: list[Any], expected: list[float]) -> None:
    assert kind(*values) == "number"
    assert read(*values) == expected


def test_the_spelling_of_a_column_reads_a_value_alone_too() -> None:
    column = judge(["1.234,5", "12,25"], "x")
    assert numbers(column, ["1.234"]).tolist() == [1234]
    assert numbers(judge(["1.5"], "x"), ["1.234"]).tolist() == [1.234]


@pytest.mark.parametrize("token", [None, "", "  ", "?", "NA", "n/a", "nan", "NULL", "None", "-", float("nan")])
def test_what_stands_for_nothing_is_missing_among_numbers(token: Any) -> None:
    assert missing(token)
    assert kind("1", token, "2") == "number"
    assert np.isnan(read("1", token, "2")[1])


def test_none_is_a_category_among_categories() -> None:
    assert [word(v) for v in ("none", "-", "?", "", None, "NA", " red ")] == ["none", "-", None, None, None, None, "red"]


def test_infinities_are_missing() -> None:
    assert kind("1", "inf", "-Infinity", 1e39) == "number"
    assert np.isnan(read("1", "inf", "-Infinity", 1e39, 10**400)).tolist() == [False, True, True, True, True]


def test_one_odd_value_in_a_hundred_is_missing_and_more_make_a_category() -> None:
    assert kind(*map(str, range(199)), "abc") == "number"
    assert kind(*map(str, range(90)), *["abc"] * 10) == "category"


@pytest.mark.parametrize("values", [["true", "False"], ["yes", "NO"], ["y", "n"], ["t", "F"], [True, False], ["true", "0", "1"], ["on", "off", "?"]])
def test_pairs_of_words_are_booleans(values: list[Any]) -> None:
    column = judge(values, "x")
    assert column.kind == "boolean"
    assert set(numbers(column, values[:2])) == {0.0, 1.0}


def test_a_boolean_is_read_from_every_spelling_and_nothing_else() -> None:
    read_B = numbers(Column("x", "boolean"), [True, "YES", 1, "0", "false", "maybe", None, 2, []])
    assert np.array_equal(read_B, [1, 1, 1, 0, 0, np.nan, np.nan, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize("values", [["0", "1"], [0, 1], [1, 2, 3, 4, 5], ["1", "2", "3"]])
def test_coded_numbers_stay_numbers(values: list[Any]) -> None:
    assert kind(*values) == "number"


@pytest.mark.parametrize("values", [["yes", "no", "maybe"], ["F", "M"], ["red", "green"], ["01234", "99999"], ["12_34", "56_78"], ["1,2,3", "4,5,6"]])
def test_words_and_codes_are_categories(values: list[str]) -> None:
    assert kind(*values) == "category"


def test_dates_are_dates_whatever_the_library() -> None:
    assert kind("2026-11-23", "", "2026-11-24") == "date"
    assert numbers(judge(["1970-01-02"], "x"), ["1970-01-02", "?"])[0] == 86400


def test_different_texts_of_several_words_are_text() -> None:
    assert kind("a good day for all", "the rain fell on us", "no end of it in sight") == "text"
    assert kind("天气很好", "今天下雨了", "没有尽头") == "text"
    assert kind(*["not at all likely", "more or less so"] * 20) == "category"


def test_nothing_is_empty_and_files_are_files() -> None:
    assert [kind(), kind("", None, "NA"), kind(b"\x89PNG", Path("a.png"))] == ["empty", "empty", "file"]


@pytest.mark.parametrize("values", [["3", 3, 3.0, " 3 "], ["x", " x"]])
def test_one_category_has_one_spelling(values: list[Any]) -> None:
    assert len({word(v) for v in values}) == 1


@pytest.mark.parametrize("value", [[], {}, ["a"], object, b"x", 1j, "\ud800", "\0", "x" * 100_000, "１２", "1" * 400])
def test_no_value_is_too_odd(value: Any) -> None:
    word(value)
    for column in (Column("x", "number"), Column("x", "number", ","), Column("x", "boolean"), Column("x", "date")):
        assert numbers(column, [value]).shape == (1,)
    judge([value, value], "x")


@pytest.mark.parametrize("values", [["1,5"], ["01/02/2026"], ["2026-11-23"], ["yes"], ["red"]])
def test_what_is_found_is_json_and_comes_back(values: list[str]) -> None:
    column = judge(values, "a name")
    assert Column.of(json.loads(json.dumps(column.described()))) == column


def test_the_share_of_numbers_is_counted() -> None:
    assert numeric_share(["1", "2", "x", "4_4"]) == 0.5
