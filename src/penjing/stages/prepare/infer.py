"""Finds out what the user did not say: which columns hold the text, and which task the target asks for."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from penjing.core import plugins
from penjing.core.errors import DataError, nearest
from penjing.core.types import Row

V = TypeVar("V")
SAMPLE = 2000
"""Rows looked at to judge a column."""
VARIED = 0.3
"""Share of different texts above which a column reads like prose rather than a category."""
_LETTER = re.compile(r"[^\W\d_]")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


@dataclass(frozen=True, slots=True)
class Inferred:
    value: Any
    why: str
    """One sentence; empty where the user had said it."""


def target(given: str | None, names: Sequence[str], source: str) -> str:
    """Return the target column. Raises DataError that offers the nearest name."""
    if given is None:
        raise DataError(f"{source}: which column is to be predicted? Name it with --target COLUMN. There is: {', '.join(names)}.")
    if given not in names:
        raise DataError(f"{source} has no column {given!r}. {nearest(given, names)}")
    return given


def text_columns(given: Sequence[str] | None, rows: Sequence[Row], names: Sequence[str], others: Sequence[str | None], source: str) -> Inferred:
    """Return the input columns: those that read like prose, or those that the user named.

    others: columns that are spoken for (target, group). Raises DataError where none is a text.
    """
    if given is not None:
        for name in given:
            if name not in names:
                raise DataError(f"{source} has no column {name!r}. {nearest(name, names)}")
            if name in others:
                raise DataError(f"Column {name!r} cannot be both an input (data.text) and the target or group. Take it out of one of them.")
        return Inferred(list(given), "")
    free = [name for name in names if name not in others]
    # Where no column is as varied as prose, one that repeats itself (search terms, say) is read.
    lengths = {name: _prose(spread(rows), name, VARIED) for name in free}
    if not any(lengths.values()):
        lengths = {name: _prose(spread(rows), name, 0.0) for name in free}
    longest = max(lengths.values(), default=0.0)
    if longest == 0:
        if lengths and all(_blank(row.get(name)) for row in rows for name in lengths):
            raise DataError(f"{source}: every text is empty. Is {', '.join(map(repr, lengths))} the right column? Name it with --text COLUMN.")
        raise DataError(f"{source}: no column reads like text. Name the columns to read with --text COLUMN. There is: {', '.join(lengths)}.")
    # A date or a name beside an essay is not what the essay's label hangs on.
    chosen = [name for name, length in lengths.items() if length >= longest / 5]
    named = ", ".join(f"{name!r} (mean {lengths[name]:.0f} characters)" for name in chosen)
    return Inferred(chosen, f"Text is read from {named}; name other columns with --text.")


def task(given: str | None, values: Sequence[Any], column: str) -> Inferred:
    """Return the name of the task that suits the target's values best. Raises DataError where none does."""
    if given is not None:
        plugins.load("tasks", given)
        return Inferred(given, "")
    judged = {name: plugins.load("tasks", name).suits(spread(values)) for name in plugins.names("tasks")}
    best = max(judged, key=lambda name: judged[name][0])
    if judged[best][0] == 0:
        raise DataError(f"No task suits column {column!r}, such as {values[0]!r}. Choose another target, or name a task: {', '.join(judged)}.")
    return Inferred(best, f"The task is {best}: column {column!r} holds {judged[best][1]}.")


def typed(values: Sequence[Any]) -> list[Any]:
    """Return texts that all are numbers as numbers, and any others unchanged: a CSV file does not say what its columns hold."""
    if values and all(isinstance(v, str) and _NUMBER.fullmatch(v) for v in values):
        numbers = [float(v) for v in values]
        return [int(n) for n in numbers] if all(n.is_integer() for n in numbers) else numbers
    return list(values)


def spread(values: Sequence[V]) -> Sequence[V]:
    """Return at most SAMPLE of `values` from all over: files are often sorted by class, or alternate between classes."""
    if len(values) <= SAMPLE:
        return values
    return [values[i] for i in sorted(random.Random(0).sample(range(len(values)), SAMPLE))]  # noqa: S311 - nothing secret


def _prose(rows: Sequence[Row], name: str, least_varied: float) -> float:
    """Return the mean length of a column of texts with letters of which more than a share is different, else 0."""
    values = [v for row in rows if isinstance(v := row.get(name), str) and v.strip()]
    if not values or len(values) < sum(not _blank(row.get(name)) for row in rows) / 2:
        return 0.0
    lettered = sum(len(_LETTER.findall(v)) > len(v) / 3 for v in values) / len(values)
    varied = len(set(values)) / len(values)
    return sum(map(len, values)) / len(values) if lettered > 0.5 and varied > least_varied else 0.0


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
