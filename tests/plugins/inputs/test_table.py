"""Columns of a table are found, and what looks wrong about them is said with column, figures and remedy."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core.types import Row
from penjing.plugins.inputs.table import Table

N = 400
RNG = np.random.default_rng(0)
PROSE = "it was a dark and stormy night, and row {} had no end"


def table(**columns: Sequence[Any]) -> list[Row]:
    """Return rows with an age, a colour and the given columns."""
    all_columns = {"age": RNG.integers(18, 90, N).astype(str), "colour": RNG.choice(["red", "green", "blue"], N), **columns}
    return [{name: values[i] for name, values in all_columns.items()} for i in range(N)]


def names_of(rows: Sequence[Row]) -> list[str]:
    return list(rows[0])


def found(**columns: Sequence[Any]) -> tuple[list[str], str]:
    rows = table(**columns)
    what = Table.find(rows, names_of(rows), None)
    return [name for name in what.columns if name in columns], what.why


def warnings(target: str = "y", **columns: Sequence[Any]) -> list[str]:
    rows = table(**{"y": RNG.choice(["no", "yes"], N), **columns})
    return Table.examine(rows, [name for name in names_of(rows) if name != target], target)


def test_a_plain_table_is_read_whole_and_said() -> None:
    rows = table()
    what = Table.find(rows, ["age", "colour"], None)
    assert (what.columns, what.fit, what.why) == (["age", "colour"], 0.6, "Columns read: 2.")


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("note", [""] * N, "'note' (empty)"),
        ("note", [None, "NA"] * (N // 2), "'note' (empty)"),
        ("country", ["US"] * N, "'country' (one value in all 400 rows)"),
        ("row", [str(i) for i in range(N)], "'row' (an identifier: 400 different values in 400 rows)"),
        ("row", RNG.permutation(N) + 1000, "'row' (an identifier"),
        ("customer_id", RNG.integers(0, 10**9, N), "'customer_id' (an identifier"),
        ("PassengerId", RNG.integers(0, 10**9, N), "'PassengerId' (an identifier"),
        ("token", [str(uuid.UUID(int=i)) for i in range(N)], "'token' (an identifier"),
        ("ticket", [f"A{max(i, 2)}" for i in range(N)], "'ticket' (an identifier: 398 different values in 400 rows)"),
        ("index", RNG.integers(0, 10**9, N), "'index' (an identifier"),
    ],
)
def test_useless_columns_are_left_out_with_the_reason(name: str, values: Sequence[Any], why: str) -> None:
    columns, said = found(**{name: values})
    assert columns == []
    assert why in said
    assert "--column" in said


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("income", RNG.integers(0, 10**9, N)),
        ("price", [f"{v:.3f}" for v in RNG.random(N)]),
        ("joined", [f"20{i // 28 % 20:02d}-01-{i % 28 + 1:02d}" for i in range(N)]),
        ("one_or_none", ["x", ""] * (N // 2)),
        ("paid", RNG.choice(["yes", "no"], N)),
        ("price_index", RNG.integers(0, 10**9, N)),
        ("shop_id", RNG.integers(0, 20, N)),
        ("comment", [PROSE.format(i) for i in range(N)]),
    ],
)
def test_useful_columns_are_not_taken_for_useless(name: str, values: Sequence[Any]) -> None:
    assert found(**{name: values})[0] == [name]


def test_named_columns_are_all_read_and_the_useless_named() -> None:
    rows = table(id=range(N), note=[""] * N)
    what = Table.find(rows, names_of(rows), ["id", "note", "age"])
    assert what.columns == ["id", "note", "age"]
    assert what.fit == 0.6
    assert "'id' (an identifier" in what.why
    assert "'note' (empty)" in what.why
    assert Table.find(rows, names_of(rows), ["age"]).why == ""


@pytest.mark.parametrize(
    ("values", "fit"),
    [
        ({"a": ["1", "2"]}, 0.6),
        ({"a": ["yes", "no"]}, 0.6),
        ({"a": ["2026-11-23", "2026-11-24"]}, 0.6),
        ({"a": ["red", "blue"], "b": ["big", "small"]}, 0.6),
        ({"a": ["red", "blue"]}, 0.3),
        ({"a": [PROSE.format(1), PROSE.format(2)]}, 0.0),
        ({"a": [Path("a.png"), Path("b.png")]}, 0.0),
        ({"a": [b"\x89PNG1", b"\x89PNG2"]}, 0.0),
        ({"a": ["", ""]}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_fit_says_how_sure_it_is_a_table(values: dict[str, list[Any]], fit: float) -> None:
    rows = [{name: v[i] for name, v in values.items()} for i in range(2)]
    what = Table.find(rows, list(values), None)
    assert what.fit == fit
    assert bool(what.columns) == bool(fit)


def test_files_beside_numbers_are_not_read() -> None:
    assert found(photo=[Path("a.png")] * N)[0] == []


def test_a_sound_table_has_no_warnings() -> None:
    assert warnings() == []


def test_a_category_that_is_the_target_in_disguise_is_warned_of_with_the_evidence() -> None:
    target = RNG.choice(["no", "yes"], N, p=[0.7, 0.3])
    (said,) = warnings(y=target, outcome=np.where(target == "yes", "paid", "open"))
    commonest = 100 * (target == "no").mean()
    assert said.startswith("Column 'outcome' may be 'y' in disguise: of 400 training rows it alone gives the right answer for 100.0 %")
    assert f"the commonest answer is for {commonest:.1f} %" in said
    assert said.endswith("--set data.exclude=[outcome].")


def test_a_number_that_is_the_target_in_disguise_is_warned_of() -> None:
    target = RNG.choice(["no", "yes"], N)
    (said,) = warnings(y=target, score=np.where(target == "yes", 0.5, 0.0) + RNG.random(N) / 2.1)
    assert "Column 'score' may be 'y' in disguise" in said


def test_a_number_in_another_unit_is_the_target_in_disguise() -> None:
    euros = RNG.normal(size=N)
    (said,) = warnings(y=euros, dollars=1.1 * euros, noisy=euros + RNG.normal(size=N))
    assert "Column 'dollars' may be 'y' in disguise" in said
    assert "% of the variance" in said


def test_a_good_but_imperfect_column_is_not_suspected() -> None:
    target = RNG.choice(["no", "yes"], N)
    flipped = RNG.random(N) < 0.05
    assert warnings(y=target, good=np.where(flipped, "x", target)) == []


def test_a_rare_class_makes_no_column_suspicious() -> None:
    assert warnings(y=["yes", *["no"] * (N - 1)]) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([str(i) for i in range(N)], "Column 'x': an identifier: 400 different values in 400 rows."),
        (["same"] * N, "Column 'x': one value in all 400 rows."),
        ([""] * N, "Column 'x': empty."),
        (["abc", *map(str, RNG.integers(0, 50, N - 1))], "Column 'x' holds 1 value that is no number, such as 'abc' (row 1): read as missing."),
        (["abc", "?d", *map(str, RNG.integers(0, 50, N - 2))], "Column 'x' holds 2 values that are no numbers, such as 'abc' (row 1)"),
        ([1.5, float("inf"), *RNG.random(N - 2)], "Column 'x' holds 1 infinite value, such as inf (row 2): read as missing."),
        (["later", *[f"2026-11-{d:02d}" for d in RNG.integers(1, 29, N - 1)]], "Column 'x' holds 1 value that is no date, such as 'later'"),
        ([f"0{d}/03/2026" for d in RNG.integers(1, 9, N)], "is read day first. To be sure, write the dates as 2026-11-23."),
        ([["2026-11-23", "23.11.2026", "Nov 24, 2026"][i % 3] for i in range(N)], "holds dates in 3 spellings"),
        ([*["low"] * 100, *map(str, RNG.integers(0, 50, N - 100))], "Column 'x' mixes numbers (75 %) and words such as 'low'"),
    ],
)
def test_what_looks_wrong_is_said(values: Sequence[Any], said: str) -> None:
    (only,) = warnings(x=values)
    assert said in only


def test_ten_thousand_categories_are_counted() -> None:
    rows = [{"x": f"c{i % 10_000}", "y": "ab"[i // 10_000]} for i in range(20_000)]
    (said,) = Table.examine(rows, ["x"], "y")
    assert "holds 10,000 different categories: all but the 1,000 commonest" in said
    assert "90 % of its values" in said


def test_many_warnings_are_cut_and_counted() -> None:
    said = warnings(**{f"x{i}": [""] * N for i in range(20)})
    assert len(said) == 13
    assert said[-1] == "And 8 more such findings about other columns."


def test_a_name_that_yaml_would_misread_is_quoted() -> None:
    (said,) = warnings(**{"a, b": [""] * N})
    assert said.endswith("""--set 'data.exclude=["a, b"]'.""")


def test_a_made_up_row_is_of_medians_and_commonest_values() -> None:
    rows: list[Row] = [
        {"n": "1", "c": "red", "b": "yes", "d": "01.02.2026", "t": "a text of the first kind", "e": "", "x": "p"},
        {"n": "2", "c": "red", "b": "yes", "d": "02.02.2026", "t": "this one is not alike", "e": "", "x": "q"},
        {"n": "9", "c": "blue", "b": "no", "d": "13.02.2026", "t": "and here is another", "e": "", "x": "q"},
    ]
    made = Table.like(rows, list(rows[0]))
    assert made == {"n": 2.0, "c": "red", "b": True, "d": "2026-02-02", "t": "an example text", "e": None, "x": "q"}


@pytest.mark.parametrize("rows", [[{"n": "3", "c": "red"}], [{"n": "3", "c": "red"}, {"n": "1e300", "c": "red"}], [{"c": "red"}, {"c": "blue"}], []])
def test_a_made_up_row_is_none_of_the_real_ones(rows: list[Row]) -> None:
    names = list(rows[0]) if rows else ["n"]
    made = Table.like(rows, names)
    assert set(made) == set(names)
    assert all(isinstance(v, str | float | bool | None) for v in made.values())
    assert all({k: float(v) if k == "n" else v for k, v in row.items()} != made for row in rows)
