"""Texts: columns that read like prose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from penjing.core.protocols import Found
from penjing.core.types import Row

VARIED = 0.3
"""Share of different texts above which a column reads like prose rather than a category."""
PROSE = 30
"""Mean characters from which a varied column is prose for certain; names and places are shorter."""
_MODEL = "all-MiniLM-L6-v2"
_LETTER = re.compile(r"[^\W\d_]")


class Text:
    tiers: ClassVar[Sequence[Any]] = [
        "linear",
        {"learner": "transformer", "model": _MODEL, "tune": "frozen"},
        {"learner": "transformer", "model": _MODEL, "tune": "full"},
    ]
    recurs: ClassVar[bool] = False

    @classmethod
    def find(cls, rows: Sequence[Row], names: Sequence[str], given: Sequence[str] | None) -> Found:
        """Return the columns that read like prose: the longest, and those at least a fifth as long."""
        free = list(given if given is not None else names)
        # Where no column is as varied as prose, one that repeats itself (search terms, say) is read.
        prose = {name: _prose(rows, name, VARIED) for name in free}
        lengths = prose if any(prose.values()) else {name: _prose(rows, name, 0.0) for name in free}
        longest = max(lengths.values(), default=0.0)
        fit = 0.9 if max(prose.values(), default=0.0) >= PROSE else 0.4 if longest else 0.0
        if given is not None:
            return Found(free, max(fit, 0.1 if _lettered(rows, free) else 0.0), "")
        if not longest:
            return Found([], 0.0, _why_not(free))
        # A date or a name beside an essay is not what the essay's label hangs on.
        chosen = [name for name, length in lengths.items() if length >= longest / 5]
        named = ", ".join(f"{name!r} (mean {lengths[name]:.0f} characters)" for name in chosen)
        return Found(chosen, fit, f"Text is read from {named}; name other columns with --column.")

    @classmethod
    def examine(cls, rows: Sequence[Row], columns: Sequence[str], target: str) -> list[str]:
        return []

    @classmethod
    def like(cls, rows: Sequence[Row], columns: Sequence[str]) -> dict[str, Any]:
        return dict.fromkeys(columns, "An example text of a usual length, to see what comes back.")


def _prose(rows: Sequence[Row], name: str, least_varied: float) -> float:
    """Return the mean length of a column of texts with letters of which more than a share is different, else 0."""
    values = [v for row in rows if isinstance(v := row.get(name), str) and v.strip()]
    if not values or len(values) < sum(not _blank(row.get(name)) for row in rows) / 2:
        return 0.0
    lettered = sum(len(_LETTER.findall(v)) > len(v) / 3 for v in values) / len(values)
    varied = len(set(values)) / len(values)
    return sum(map(len, values)) / len(values) if lettered > 0.5 and varied > least_varied else 0.0


def _lettered(rows: Sequence[Row], names: Sequence[str]) -> bool:
    """Return whether any of the columns holds texts at all."""
    return any(isinstance(row.get(name), str) for row in rows for name in names)


def _why_not(names: Sequence[str]) -> str:
    return f"no column reads like text. Name the columns to read with --column COLUMN. There is: {', '.join(names)}."


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
