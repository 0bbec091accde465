"""What a column takes from outside, by the type of its example value."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from penjing.stages.serve.values import Unfit, as_json, is_file, kind_of, shortened

PNG = b"\x89PNG\r\n\x1a\n and the rest \xff\x00"
TAKEN: list[tuple[Any, Any]] = [
    ("a text", "any text"),
    ("a text", 42),
    ("a text", True),
    ("a text", None),
    (1.5, 39),
    (1.5, -2.5e10),
    (1.5, None),
    (1.5, "39"),
    (1.5, " 1,234.5 "),
    (1.5, "1.234,5"),
    (1.5, "12 %"),
    (1.5, ""),
    (1.5, "?"),
    (1.5, "N/A"),
    (7, 8),
    (True, False),
    (True, None),
    (True, "yes"),
    (True, "False"),
    (True, 0),
    (True, ""),
    (None, "any text"),
    (None, 3),
    (None, ["a", "list"]),
]


@pytest.mark.parametrize(("like", "value"), TAKEN)
def test_a_value_that_its_column_takes_stays_as_it_is(like: Any, value: Any) -> None:
    assert kind_of(like).read(value) is value


REFUSED: list[tuple[Any, Any, str]] = [
    ("a text", ["a"], "is a list, not text. Put it in quotation marks."),
    ("a text", {"a": 1}, "is an object, not text"),
    ("a text", "a\ud83d", "holds half a character (a lone surrogate) at 1"),
    (None, "a\ud83d", "holds half a character"),
    (1.5, "abc", "is 'abc', which is no number. Send a number, or null where it is missing."),
    (1.5, "12_34", "is '12_34', which is no number"),
    (1.5, "1.2.3", "which is no number"),
    (1.5, "x" * 1000, f"is '{'x' * 40}…', which is no number"),
    (1.5, True, "is true or false, not a number"),
    (1.5, [1], "is a list, not a number"),
    (1.5, float("inf"), "too large to compute with"),
    (1.5, 10**400, "too large to compute with"),
    (True, "perhaps", "is 'perhaps', neither true nor false"),
    (True, 2, "is a number, neither true nor false"),
    (True, [], "is a list, neither true nor false"),
    (b"png", "no base64!", "is not base64 ("),
    (b"png", "aGVsbG8", "is not base64 (Incorrect padding)"),
    (b"png", "aGVs\nbG8=", "is not base64 ("),
    (b"png", "aGVsbG8=trailing", "is not base64 ("),
    (b"png", "héllo", "is not base64 ("),
    (b"png", "data:image/png,%89PNG", "is not base64 ("),
    (b"png", "../secret.png", "is not base64 ("),
    (b"png", "", "is an empty file"),
    (b"png", "data:image/png;base64,", "is an empty file"),
    (b"png", None, "is null, not a file. Send the file's bytes as a text in base64."),
    (b"png", 12, "is a number, not a file"),
]


@pytest.mark.parametrize(("like", "value", "told"), REFUSED)
def test_a_value_of_another_kind_is_refused_with_the_remedy(like: Any, value: Any, told: str) -> None:
    with pytest.raises(Unfit) as refused:
        kind_of(like).read(value)
    assert told in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("before", ["", "data:image/png;base64,", "data:;base64,", "DATA:image/svg+xml;charset=utf-8;BASE64,"])
def test_a_file_is_read_from_base64_and_from_a_data_url(before: str) -> None:
    assert kind_of(b"png").read(before + base64.b64encode(PNG).decode()) == PNG


def test_a_row_goes_through_json_and_back(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(PNG)
    for value in (PNG, tmp_path / "cat.png"):
        assert kind_of(b"png").read(as_json(value)) == PNG
    for value in ("text", 1.5, True, None):
        assert as_json(value) is value


def test_an_example_of_an_unknown_type_takes_anything() -> None:
    assert kind_of(dt.date(2026, 1, 1)).name == "anything"


def test_only_a_row_of_one_file_is_a_file() -> None:
    assert is_file({"image": b"png"})
    assert not is_file({"image": b"png", "age": 1.0})
    assert not is_file({"review": "text"})


def test_a_long_file_is_cut_off_for_people() -> None:
    assert shortened({"image": b"x" * 3000, "small": b"hello", "age": 3.0}) == {
        "image": base64.b64encode(b"x" * 30).decode() + "…",
        "small": "aGVsbG8=",
        "age": 3.0,
    }
