"""What the raw values of one column are, number, boolean, date, category or text, and how they are read. Knows values and lists of them; not rows,
nor what a model makes of them.

A CSV file holds nothing but text, so "39", "1.234,5", "12 %", "yes" and "?" are judged by how all values of a column are spelt. What is found, a
`Column`, then reads any value the same way for ever: alone, in a batch, from a file, or out of JSON.

Shapes: B values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any, Literal

import numpy as np

from penjing.core.tables.dates import DateFormat, format_of, nothing, seconds
from penjing.core.types import NDArray

Kind = Literal["number", "boolean", "date", "category", "text", "file", "empty"]
ODD = 0.01
"""Share of values that may be no numbers in a column of numbers: they are read as missing, and said."""
LARGEST = float(np.finfo(np.float32).max)
"""What lies beyond is infinite: arrays are float32."""
PROSE = 3
"""Mean number of words from which a column of different texts is text rather than category."""
VARIED = 0.3
"""Share of different texts above which a column is text rather than category."""

_NOTHING = frozenset({"", "?", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null"})
_PERHAPS = _NOTHING | {"none", "-", "--", ".", "missing", "unknown"}
"""What stands for nothing where numbers, dates or booleans are expected, but may be a category by itself."""
_PAIRS = (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("on", "off"))
_TRUTH = {word: float(i == 0) for pair in _PAIRS for i, word in enumerate(pair)} | {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
_GROUPED = {
    ".": re.compile(r"[+-]?(?:\d{1,3}(?:[,' ]\d{3})+|\d+)?(?:\.\d*)?(?:[eE][+-]?\d+)?"),
    ",": re.compile(r"[+-]?(?:\d{1,3}(?:[.' ]\d{3})+|\d+)?(?:,\d*)?(?:[eE][+-]?\d+)?"),
}
_AROUND = " \t%$€£¥"
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2212": "-", "\u2019": "'"})
_CODE = re.compile(r"0\d+")
_WORD = re.compile(r"[^\W\d_]+")
_WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Column:
    """How the values of one column are read. `described` is its JSON."""

    name: str
    kind: Kind
    decimal: Literal[".", ","] = "."
    """What stands before the decimals of a number; the other one may part thousands."""
    dates: DateFormat | None = None

    def described(self) -> dict[str, Any]:
        described = asdict(self)
        if self.dates:
            described["dates"]["forms"] = list(self.dates.forms)
        return described

    @classmethod
    def of(cls, described: dict[str, Any]) -> Column:
        """Return what `described` described."""
        dates = described["dates"]
        return cls(**{**described, "dates": dates and DateFormat(**{**dates, "forms": tuple(dates["forms"])})})

    @property
    def numeric(self) -> bool:
        """Whether `numbers` reads its values."""
        return self.kind in ("number", "boolean", "date")


def missing(value: Any) -> bool:
    """Whether `value` stands for nothing in a column of numbers, dates or booleans."""
    return value.strip().lower() in _PERHAPS if isinstance(value, str) else nothing(value)


def word(value: Any) -> str | None:
    """Return a value of a category as it is told apart, None where it is missing: 3, 3.0 and " 3" are one category."""
    if isinstance(value, str):
        stripped = value.strip()
        return None if len(stripped) < 5 and stripped.lower() in _NOTHING else stripped
    if nothing(value):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def numbers(column: Column, values: Sequence[Any]) -> NDArray:
    """Return (B,) float64: numbers, 1 and 0 for booleans, seconds since 1970 for dates; NaN for what is missing or cannot be read."""
    read = raw_numbers(column, values)
    read[np.abs(read) > LARGEST] = np.nan
    return read


def raw_numbers(column: Column, values: Sequence[Any]) -> NDArray:
    """Return what `numbers` returns, with infinities as they stand."""
    if column.kind == "date":
        return seconds(values, column.dates or DateFormat())
    if column.kind == "boolean":
        return np.fromiter((_truth(v) for v in values), np.float64, len(values))
    decimal = column.decimal
    return np.fromiter((_number(v, decimal) for v in values), np.float64, len(values))


def judge(values: Sequence[Any], name: str) -> Column:
    """Return how a column called `name` is read, judged by `values`, which are a sample or all of it."""
    present = [v for v in values if not missing(v)]
    if not present:
        return Column(name, "empty")
    if sum(isinstance(v, bytes | bytearray | PurePath) for v in present) > len(present) / 2:
        return Column(name, "file")
    if _are_booleans(present):
        return Column(name, "boolean")
    if dates := format_of(present, name):
        return Column(name, "date", dates=dates)
    decimal = _decimal(present)
    if numeric_share(present, decimal) >= 1 - ODD and not _are_codes(present):
        return Column(name, "number", decimal)
    texts = [w for v in values if (w := word(v)) is not None]
    return Column(name, "text" if _is_prose(texts) else "category")


def numeric_share(present: Sequence[Any], decimal: Literal[".", ","] = ".") -> float:
    """Return the share of values, none of them missing, that are numbers."""
    return sum(_is_number(v, decimal) for v in present) / len(present)


def _is_number(value: Any, decimal: Literal[".", ","]) -> bool:
    if isinstance(value, str) and "_" in value:  # Python reads 12_34 as a number; in data it is a name
        return False
    return not nothing(_number(value, decimal))


def _number(value: Any, decimal: str) -> float:
    """Return the number that `value` spells, NaN for none."""
    if isinstance(value, str):
        if decimal == ".":
            try:
                return float(value)
            except ValueError:
                pass
        return _spelt(value, decimal)
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
    except OverflowError:
        return float("inf")


def _spelt(text: str, decimal: str) -> float:
    """Return the number of a text with parted thousands, a decimal comma, a currency or a per cent sign; 12 % is 12."""
    bare = text.translate(_SPACES).strip(_AROUND + "\r\n")
    if not bare:
        return float("nan")
    if not _GROUPED[decimal].fullmatch(bare):
        return _infinite(bare)
    plain = bare.replace("." if decimal == "," else ",", "").replace(" ", "").replace("'", "").replace(",", ".")
    try:
        return float(plain)
    except ValueError:
        return float("nan")


def _infinite(text: str) -> float:
    sign = -1.0 if text.startswith("-") else 1.0
    return sign * float("inf") if text.lstrip("+-").lower() in ("inf", "infinity", "∞") else float("nan")


def _decimal(present: Sequence[Any]) -> Literal[".", ","]:
    """Return what stands before decimals: the comma where more values can only be read so than can only be read with a point."""
    comma = point = 0
    for value in present:
        if not isinstance(value, str) or ("," not in value and value.count(".") < 2):
            point += isinstance(value, str) and "." in value and len(value.rstrip(_AROUND).rpartition(".")[2]) != 3
            continue
        bare = value.translate(_SPACES).strip(_AROUND)
        with_point, with_comma = (bool(_GROUPED[d].fullmatch(bare)) for d in ".,")
        comma += with_comma and (not with_point or bare.lstrip("+-").startswith("0"))
        point += with_point and not with_comma
    return "," if comma > point else "."


def _truth(value: Any) -> float:
    if isinstance(value, str):
        return _TRUTH.get(value.strip().lower(), float("nan"))
    try:
        number = float(value)
    except (TypeError, ValueError):
        return float("nan")
    return number if number in (0.0, 1.0) else float("nan")


def _are_booleans(present: Sequence[Any]) -> bool:
    """Whether all values are of one pair of words, beside 0 and 1; those alone are numbers."""
    words: set[str] = set()
    for value in present:
        words.add(value.strip().lower() if isinstance(value, str) else str(value).lower())
        if len(words) > 6:
            return False
    words -= {"0", "1", "0.0", "1.0"}
    return bool(words) and any(words <= set(pair) for pair in _PAIRS)


def _are_codes(present: Sequence[Any]) -> bool:
    """Whether these numbers are codes, such as the postcode 01234, whose leading zero would be lost."""
    leading = sum(isinstance(v, str) and _CODE.fullmatch(v.strip()) is not None for v in present)
    return leading > ODD * len(present)


def _is_prose(texts: Sequence[str]) -> bool:
    varied = len(set(texts)) / max(1, len(texts))
    words = sum(len(_WORD.findall(t)) + len(_WITHOUT_SPACES.findall(t)) for t in texts) / max(1, len(texts))
    return varied > VARIED and words >= PROSE
