"""Dates in the spellings that files use → seconds since 1970. Knows single values and lists of them; not rows, columns or what a date means.

A value says by its look how it is to be read: 2026-11-23, 23.11.2026, 23-Nov-2026, November 23, 2026, 20261123. Only two things must be found out
from all values of a column, and make its `DateFormat`: whether 1/2/2026 begins with the day or the month, and whether plain numbers count seconds.
A time without a zone is taken as it stands, one with a zone is turned into UTC; a year of two digits is from 1969 to 2068, as POSIX reads it.

Shapes: B values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import numpy as np

from penjing.core.types import NDArray

DAY = 86_400
EPOCH_DAY = 719_163
"""Ordinal of 1 January 1970 in Python's calendar."""
ODD = 0.01
"""Share of values that may be no dates in a column of dates."""
_FIRST_LOOK = 50
YEARS = (1800, 2200)
"""A date of digits alone, without separators, is one only within these years: 10 of 10,000 numbers of eight digits look like a date by chance."""

_TIME = r"(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?\s*([AaPp])?(?:\.?[Mm]\.?)?\s*(Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?"
_MONTH = r"([A-Za-z]{3,9})\.?"
_WEEKDAY = r"(?:[A-Za-z]{3,9}\.?,? +)?"
_FORMS = {
    "year-month-day": re.compile(r"(\d{4})([-/.年])(\d{1,2})(?:[-/.月](\d{1,2})日?)?" + _TIME),
    "day-month-year": re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})" + _TIME),
    "day-name-year": re.compile(_WEEKDAY + r"(\d{1,2})(?:st|nd|rd|th)?[ -]?" + _MONTH + r"[ ,-]+(\d{4}|\d{2})" + _TIME),
    "name-day-year": re.compile(_WEEKDAY + _MONTH + r" +(\d{1,2})(?:st|nd|rd|th)?,? +(\d{4})" + _TIME),
    "yyyymmdd": re.compile(r"(\d{4})(\d{2})(\d{2})" + r"(?:T?(\d{2})(\d{2})(\d{2})?()()(Z)?)?"),
}
_FULL = ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"]
_MONTHS = {short: i for i, name in enumerate(_FULL, 1) for short in (name[:3], name)} | {"sept": 9}
_TIMELY = re.compile(r"date|time|epoch|stamp|(?:^|_)(?:at|ts|on)$", re.IGNORECASE)
_EPOCHS: dict[Literal["s", "ms"], tuple[float, float]] = {"s": (1e8, 4.2e9), "ms": (1e11, 4.2e12)}
"""Counts that lie between 1973 and 2103."""


@dataclass(frozen=True, slots=True)
class DateFormat:
    """How the dates of one column are read. Its fields are JSON."""

    month_first: bool = False
    """Whether 1/2/2026 is the second of January."""
    counts: Literal["", "s", "ms"] = ""
    """What plain numbers count since 1970: seconds, milliseconds, or nothing."""
    sure: bool = True
    """False where every date could also be read with day and month swapped."""
    forms: tuple[str, ...] = ()
    """The spellings found, commonest first. They are tried first; any other is read as well."""


def format_of(values: Sequence[Any], name: str = "") -> DateFormat | None:
    """Return how a column of `values`, none of them missing, is read as dates; None where more than one in a hundred is no date.

    Plain numbers are counts of seconds or milliseconds only where the column's `name` says that it is about time.
    """
    if not values:
        return None
    if counts := _counts(values, name):
        return DateFormat(counts=counts)
    if not _mostly(values[:: max(1, len(values) // _FIRST_LOOK)], 0.5):
        return None
    forms = Counter(_form(v) for v in values)
    if forms[""] > ODD * len(values):
        return None
    del forms[""]
    month_first, sure = _order([v for v in values if isinstance(v, str)]) if "day-month-year" in forms else (False, True)
    found = DateFormat(month_first, "", sure, tuple(form for form, _ in forms.most_common() if form in _FORMS))
    if np.isnan(seconds(values, found)).mean() > ODD:
        return None
    return found


def seconds(values: Sequence[Any], how: DateFormat) -> NDArray:
    """Return (B,) float64 seconds since 1970, NaN where a value is no date."""
    order = _tried(how)
    return np.fromiter((_second(v, how, order) for v in values), np.float64, len(values))


def nothing(value: Any) -> bool:
    """Whether `value` is None or no number, no date (NaN, NaT)."""
    return value is None or bool(value != value)  # noqa: PLR0124 - what differs from itself is NaN or NaT, of whatever library


def iso(second: float) -> str:
    """Return a number of seconds since 1970 as ISO 8601: a date, and the time where it is not midnight."""
    days, rest = divmod(round(second), DAY)
    text = date.fromordinal(int(days) + EPOCH_DAY).isoformat()
    return f"{text}T{int(rest) // 3600:02d}:{int(rest) // 60 % 60:02d}:{int(rest) % 60:02d}" if rest else text


def _tried(how: DateFormat) -> tuple[str, ...]:
    return (*how.forms, *(form for form in _FORMS if form not in how.forms))


def _second(value: Any, how: DateFormat, order: Sequence[str]) -> float:
    if not isinstance(value, str):
        return _of_object(value, how)
    text = value.strip()
    if len(text) == 10 and text[4] == text[7] == "-":  # by far the commonest spelling, ten times as fast
        try:
            return float((date.fromisoformat(text).toordinal() - EPOCH_DAY) * DAY)
        except ValueError:
            return float("nan")
    for form in order:
        if match := _FORMS[form].fullmatch(text):
            try:
                return _READ[form](match.groups(), how.month_first)
            except ValueError:  # the 31st of February, a month called Foo
                return float("nan")
    return _count(text, how)


def _of_object(value: Any, how: DateFormat) -> float:
    """Return the seconds of a date, a time of a database, or a number."""
    if nothing(value) or isinstance(value, bool):
        return float("nan")
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return float((value.toordinal() - EPOCH_DAY) * DAY)
    if isinstance(value, np.datetime64):
        return float(value.astype("datetime64[us]").astype(np.int64)) / 1e6
    if not how.counts and isinstance(value, int | float) and value == int(value):
        return _second(str(int(value)), how, ("yyyymmdd",))
    return _count(value, how)


def _count(value: Any, how: DateFormat) -> float:
    if not how.counts:
        return float("nan")
    try:
        count = float(value)
    except (TypeError, ValueError):
        return float("nan")
    return (count if how.counts == "s" else count / 1000) if abs(count) < 1e15 else float("nan")


def _moment(year: int, month: int, day: int, time: Sequence[str | None]) -> float:
    """Return seconds since 1970. time: hour, minute, second, fraction, "a" or "p", zone. Raises ValueError for what no calendar has."""
    days = (date(year, month, day).toordinal() - EPOCH_DAY) * float(DAY)
    hour, minute, second, fraction, half, zone = time
    if hour is None:
        return days
    hours = int(hour)
    if half:
        if not 1 <= hours <= 12:
            raise ValueError
        hours = hours % 12 + 12 * (half in "Pp")
    if hours > 24 or int(minute or 0) > 59 or int(second or 0) > 60:
        raise ValueError
    total = days + hours * 3600 + int(minute or 0) * 60 + int(second or 0)
    if fraction:
        total += float(f"0.{fraction}")
    return total - _offset(zone) if zone and zone[0] in "+-" else total


def _offset(zone: str) -> int:
    digits = zone[1:].replace(":", "")
    return (int(digits[:2]) * 3600 + int(digits[2:] or 0) * 60) * (-1 if zone[0] == "-" else 1)


def _year_month_day(g: Sequence[Any], month_first: bool) -> float:
    if g[3] is None and (g[1] == "." or len(g[2]) < 2):
        raise ValueError  # 2026.11 is a number, and 2026-1 is no month
    return _moment(int(g[0]), int(g[2]), int(g[3] or 1), g[4:])


def _day_month_year(g: Sequence[Any], month_first: bool) -> float:
    if g[1] == "." and len(g[0] + g[2] + g[3]) < 6:
        raise ValueError  # 3.11.15 is a version
    day, month = (g[2], g[0]) if month_first and g[1] != "." else (g[0], g[2])
    return _moment(_year(g[3]), int(month), int(day), g[4:])


def _day_name_year(g: Sequence[Any], month_first: bool) -> float:
    return _moment(_year(g[2]), _month(g[1]), int(g[0]), g[3:])


def _name_day_year(g: Sequence[Any], month_first: bool) -> float:
    return _moment(int(g[2]), _month(g[0]), int(g[1]), g[3:])


def _yyyymmdd(g: Sequence[Any], month_first: bool) -> float:
    if not YEARS[0] <= int(g[0]) <= YEARS[1]:
        raise ValueError
    return _moment(int(g[0]), int(g[1]), int(g[2]), g[3:])


_READ = {
    "year-month-day": _year_month_day,
    "day-month-year": _day_month_year,
    "day-name-year": _day_name_year,
    "name-day-year": _name_day_year,
    "yyyymmdd": _yyyymmdd,
}


def _year(digits: str) -> int:
    year = int(digits)
    return year if len(digits) == 4 else year + (2000 if year < 69 else 1900)


def _month(name: str) -> int:
    if name.lower() not in _MONTHS:
        raise ValueError
    return _MONTHS[name.lower()]


def _form(value: Any) -> str:
    """Return the name of the spelling of `value`; empty where it is none of a date."""
    if isinstance(value, date | np.datetime64):  # a datetime is a date
        return "object"
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9:
        value = str(int(value)) if value == int(value) else ""
    if not isinstance(value, str):
        return ""
    text = value.strip()
    return next((form for form, pattern in _FORMS.items() if pattern.fullmatch(text)), "")


def _mostly(values: Sequence[Any], share: float) -> bool:
    return sum(_form(v) != "" for v in values) >= share * len(values)


def _order(texts: Sequence[str]) -> tuple[bool, bool]:
    """Return whether the month comes first, and whether that is sure: a part above 12 is no month. With dots the day comes first everywhere."""
    parts = [m.groups() for text in texts if (m := _FORMS["day-month-year"].fullmatch(text.strip()))]
    swapped = [(int(g[0]), int(g[2])) for g in parts if g[1] != "."]
    first, second = sum(a > 12 for a, _ in swapped), sum(b > 12 for _, b in swapped)
    return second > first, not swapped or first + second > 0


def _counts(values: Sequence[Any], name: str) -> Literal["", "s", "ms"]:
    if not _TIMELY.search(name):
        return ""
    try:
        counts = np.array([float(v) for v in values if not isinstance(v, bool)])
    except (TypeError, ValueError):
        return ""
    fits = (unit for unit, (low, high) in _EPOCHS.items() if len(counts) and ((counts >= low) & (counts <= high)).all())
    return next(fits, "")
