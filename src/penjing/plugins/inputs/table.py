"""Tables: columns of numbers, categories, dates and the like, each case a row. Knows which columns to read, and what looks wrong about them;
how they become arrays is the processor's.

Shapes: N rows.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from penjing.core.protocols import Found
from penjing.core.tables.columns import Column, judge, numbers, numeric_share, word
from penjing.core.tables.dates import iso
from penjing.core.tables.disguise import explained, share_right
from penjing.core.tables.survey import Surveyed, spread, survey
from penjing.core.types import NDArray, Row

PROSE = 30
"""Mean characters from which a column of free text is prose: that is another kind of input."""
ENOUGH = 50
"""Rows from which values that are all different, or a column that tells the target, are no chance."""
CATEGORIES = 1000
"""Categories above which a column is worth a sentence: the usual most that are told apart."""
PERFECT = 0.99
"""Share of right answers, or R², from which one column alone is suspected to be the target in disguise."""
NUMBERS = 20
"""Different numbers above which a target is a quantity rather than a class."""
MOST = 12
"""Warnings that are spelt out, and columns that are named in one sentence."""
_IDENTIFIER = re.compile(r"(?:^|[\W_])(?i:id|uuid|guid|key|nr)$|(?i:^index$)|(?<=[a-z])I[dD]$|^(?i:id|uuid|unnamed)(?:[\W_]|$)")
_TEXT = "an example text"


class Table:
    tiers: ClassVar[Sequence[Any]] = ["tabular-linear", "boosted-trees", "tabular-network"]
    recurs: ClassVar[bool] = True

    @classmethod
    def find(cls, rows: Sequence[Row], names: Sequence[str], given: Sequence[str] | None) -> Found:
        """Return all columns but the useless ones, each of which is named with the reason; or those that the user named, judged."""
        looked_at = survey(rows, given if given is not None else names)
        useless = {one.column.name: why for one in looked_at if (why := _useless(one))}
        if given is not None:
            named = _named(useless)
            return Found(list(given), _fit(looked_at), f"Of the columns to read, nothing can be learnt from {named}." if useless else "")
        read = [one for one in looked_at if one.column.name not in useless and one.column.kind != "file"]
        fit = _fit(read)
        if not fit:
            return Found([], 0.0, "no column holds numbers, categories or dates. Name the columns to read with --column COLUMN.")
        left = f" Left out: {_named(useless)}; name the columns to read with --column." if useless else ""
        return Found([one.column.name for one in read], fit, f"Columns read: {len(read)}.{left}")

    @classmethod
    def examine(cls, rows: Sequence[Row], columns: Sequence[str], target: str) -> list[str]:
        """Return what looks wrong about the training rows: the target in disguise first, then columns that say nothing, then values that are odd."""
        looked_at = survey(rows, columns)
        found = [*_disguises(rows, looked_at, target), *(sentence for one in looked_at for sentence in _warnings(rows, one))]
        more = [f"And {len(found) - MOST} more such findings about other columns."] if len(found) > MOST else []
        return found[:MOST] + more

    @classmethod
    def like(cls, rows: Sequence[Row], columns: Sequence[str]) -> dict[str, Any]:
        """Return a row of medians and commonest values; where a row is just so, one of its values is another."""
        sample = spread(rows, 2000)
        judged = [judge([row.get(name) for row in sample], name) for name in columns]
        made = {column.name: _usual(column, [row.get(column.name) for row in sample]) for column in judged}
        for row in sample:
            if all(_same(column, row.get(column.name), made[column.name]) for column in judged):
                return made | _other(judged, made, sample)
        return made


def _fit(columns: Sequence[Surveyed]) -> float:
    kinds = [one.column.kind for one in columns if one.column.kind not in ("file", "empty") and not _is_prose(one)]
    if any(kind in ("number", "boolean", "date") for kind in kinds) or kinds.count("category") > 1:
        return 0.6
    return 0.3 if kinds else 0.0


def _is_prose(one: Surveyed) -> bool:
    return one.column.kind == "text" and sum(len(w) * n for w, n in one.words.items()) >= PROSE * one.words.total()


def _useless(one: Surveyed) -> str:
    """Return why nothing can be learnt from a column, in a few words; empty where something can."""
    if one.column.kind == "empty":
        return "empty"
    if one.column.kind == "file":
        return ""
    present, different = one.count - one.missing, one.different
    if different == 1 and not one.missing and one.count > 1:
        return f"one value in all {one.count:,} rows"
    if _is_identifier(one, present, different):
        return f"an identifier: {different:,} different values in {present:,} rows"
    return ""


def _is_identifier(one: Surveyed, present: int, different: int) -> bool:
    """Whether a column numbers or names its rows: by its name, or because all values differ and are whole numbers that run on, or short texts."""
    if one.column.kind in ("boolean", "date") or (one.column.numeric and not _are_whole(one.numbers)):
        return False
    if _IDENTIFIER.search(one.column.name) and different > max(1, present / 2):
        return True
    if present < ENOUGH or one.column.kind == "text":
        return False
    if one.column.kind == "category":
        return different >= 0.99 * present
    return different == present == one.count and _run_on(one.numbers)


def _are_whole(numbers_N: NDArray) -> bool:
    known = numbers_N[~np.isnan(numbers_N)]
    return bool((known == np.floor(known)).all())


def _run_on(numbers_N: NDArray) -> bool:
    steps = np.diff(numbers_N)
    return bool((steps > 0).all() or (steps < 0).all() or np.ptp(numbers_N) < 1.5 * len(numbers_N))


def _named(useless: dict[str, str]) -> str:
    named = [f"{name!r} ({why})" for name, why in useless.items()]
    return ", ".join(named[:MOST]) + (f" and {len(named) - MOST} more" if len(named) > MOST else "")


def _disguises(rows: Sequence[Row], columns: Sequence[Surveyed], target: str) -> Iterator[str]:
    """Yield a sentence for each column that alone all but gives the target away."""
    known = [row for row in spread(rows) if word(row.get(target)) is not None]
    if len(known) < ENOUGH:
        return
    answers = [row[target] for row in known]
    told = _teller(judge(answers, target), answers)
    for one in columns:
        if one.column.kind in ("empty", "file", "text"):
            continue
        values = [row.get(one.column.name) for row in known]
        if evidence := told(numbers(one.column, values) if one.column.numeric else np.array([word(v) or "" for v in values])):
            yield (
                f"Column {one.column.name!r} may be {target!r} in disguise: of {len(known):,} training rows it alone {evidence}. "
                f"If it is not known when the answer is needed, leave it out: {_leave_out(one.column.name)}."
            )


def _teller(target: Column, answers: list[Any]) -> Callable[[NDArray], str]:
    """Return a function that says how well a column's values tell the target, in a few words; nothing where that is not all but perfect."""
    if target.kind == "number" and len(set(answers)) > NUMBERS:
        value_N = numbers(target, answers)
        value_N = np.where(np.isnan(value_N), np.nanmean(value_N), value_N)

        def quantity(values_N: NDArray) -> str:
            r2 = explained(values_N, value_N)
            return f"explains {100 * r2:.2f} % of the variance (means of rows with like values, on other rows)" if r2 >= PERFECT else ""

        return quantity
    label_N = np.unique([str(word(v)) for v in answers], return_inverse=True)[1].astype(np.int64)
    commonest = float(np.bincount(label_N).max() / len(label_N))

    def label(values_N: NDArray) -> str:
        right = share_right(values_N, label_N)
        if right < PERFECT or 1 - right > (1 - commonest) / 5:
            return ""
        return f"gives the right answer for {100 * right:.1f} % (the commonest answer is for {100 * commonest:.1f} %)"

    return label


def _warnings(rows: Sequence[Row], one: Surveyed) -> Iterator[str]:
    """Yield a sentence for everything about one column that looks wrong."""
    name, odd, infinite, dates = one.column.name, one.odd, one.infinite, one.column.dates
    if why := _useless(one):
        yield f"Column {name!r}: {why}. Nothing that holds for other rows can be learnt from it: leave it out with {_leave_out(name)}."
        return
    if odd.count:
        kind = ("is no date", "are no dates") if dates else ("is no number", "are no numbers")
        which = f"{_counted(odd.count, 'value')} that {kind[odd.count > 1]}"
        yield f"Column {name!r} holds {which}, such as {odd.example!r} (row {odd.row}): read as missing."
    if infinite.count:
        which = _counted(infinite.count, "infinite value")
        yield f"Column {name!r} holds {which}, such as {infinite.example!r} (row {infinite.row}): read as missing."
    if dates and not dates.sure:
        yield (
            f"Column {name!r}: every date could be read with day and month swapped, and is read day first. To be sure, write the dates as 2026-11-23."
        )
    if dates and len(dates.forms) > 1:
        yield f"Column {name!r} holds dates in {len(dates.forms)} spellings ({', '.join(dates.forms)}): each is read by its own."
    if one.column.kind == "category":
        yield from _of_categories(rows, one)


def _of_categories(rows: Sequence[Row], one: Surveyed) -> Iterator[str]:
    name = one.column.name
    if one.different > CATEGORIES:
        rare = one.words.total() - sum(count for _, count in one.words.most_common(CATEGORIES))
        yield (
            f"Column {name!r} holds {one.different:,} different categories: all but the {CATEGORIES:,} commonest (max_categories of a tier) are one, "
            f"and {100 * rare / one.words.total():.0f} % of its values are in it."
        )
    words = [w for w in (word(row.get(name)) for row in spread(rows, 2000)) if w is not None]
    share = numeric_share(words) if words else 0.0
    other = next((w for w in words if numeric_share([w]) == 0), None)
    if share >= 0.5 and other is not None:
        yield (
            f"Column {name!r} mixes numbers ({100 * share:.0f} %) and words such as {other!r}: all are read as categories. "
            "If it is a number, leave its words empty in the data."
        )


def _leave_out(name: str) -> str:
    return f"--set data.exclude=[{name}]" if name.isidentifier() else f"--set 'data.exclude=[{json.dumps(name, ensure_ascii=False)}]'"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count > 1)}"


def _usual(column: Column, values: Sequence[Any]) -> Any:
    """Return the median of numbers and dates, the commonest boolean or category, and a fixed text where texts are free."""
    if column.kind in ("empty", "file"):
        return None
    if column.kind == "text":
        return _TEXT
    if not column.numeric:
        return Counter(sorted(w for v in values if (w := word(v)) is not None)).most_common(1)[0][0]
    known = numbers(column, values)
    median = float(np.median(known[~np.isnan(known)]))
    return bool(median >= 0.5) if column.kind == "boolean" else iso(median) if column.kind == "date" else median


def _other(judged: Sequence[Column], made: dict[str, Any], sample: Sequence[Row]) -> dict[str, Any]:
    """Return another value for one column, which no row of the sample has there: beyond the largest number, or none at all."""
    for column in judged:
        if column.kind == "number":
            return {column.name: float(np.nanmax(numbers(column, [row.get(column.name) for row in sample]))) + 1}
    return {judged[0].name: None} if judged and made[judged[0].name] is not None else {}


def _same(column: Column, real: Any, made: Any) -> bool:
    """Whether two values are read as the same."""
    if not column.numeric:
        return word(real) == word(made)
    return bool(np.array_equal(numbers(column, [real]), numbers(column, [made]), equal_nan=True))
