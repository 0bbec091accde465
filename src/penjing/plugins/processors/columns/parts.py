"""How the values of one column become numbers or codes: a part for each kind of column. Knows a column's values; not rows, nor other columns.

A part is made of what was learnt, which is JSON: `learnt_from` a survey of the training rows. Every value is encoded alone, and by tables where a
function such as the sine could give another last bit in a longer array, so that a row in a batch has the same bytes as the row by itself.

Shapes: B values, F features, N values of training rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from penjing.core import plugins
from penjing.core.tables.columns import Column, numbers, word
from penjing.core.tables.dates import DAY
from penjing.core.tables.survey import Surveyed
from penjing.core.types import NDArray, Ragged
from penjing.plugins.processors.columns.scaling import Scale, applied, learnt

MISSING, OTHER, FIRST = 0, 1, 2
"""Codes: no value; a category that training did not see, or too rarely; the commonest category."""
FEW = 20
"""Different categories up to which each is kept even where one row has it. Of more, one that a single training row has is as good as unseen, and
stands for those that serving will bring."""
_LOG_COUNTS = np.log1p(np.arange(256))
_TEXTS_AT_A_TIME = 1 << 16


class Part(Protocol):
    """One column's share of the arrays."""

    names: list[str]
    """Names of the array columns that it fills."""

    def encode(self, values: Sequence[Any]) -> NDArray:
        """Return (B, F) float64, or (B, 1) int32 codes."""


def learnt_from(surveyed: Surveyed, scale: Scale, max_categories: int) -> dict[str, Any]:
    """Return what the part of a column needs, as JSON."""
    found: dict[str, Any] = {**surveyed.column.described(), "gaps": surveyed.missing > 0}
    if surveyed.column.kind == "category":
        return found | {"categories": _categories(surveyed.words, max_categories)}
    if not surveyed.column.numeric:
        return found
    known_N = surveyed.numbers[~np.isnan(surveyed.numbers)]
    if surveyed.column.kind == "date":
        found["hours"] = bool(np.ptp(known_N % DAY) > 0) if len(known_N) else False
        known_N = known_N / DAY
    found["mean"] = float(known_N.mean()) if len(known_N) else 0.0
    return found if surveyed.column.kind == "boolean" else found | {"how": learnt(scale, known_N)}


def part_of(found: Mapping[str, Any], scale: Scale, text_features: int) -> Part | None:
    """Return the part for what `learnt_from` found; None for a column that held nothing."""
    column = Column.of({name: found[name] for name in ("name", "kind", "decimal", "dates")})
    match column.kind:
        case "category":
            return _Category(column.name, found["categories"])
        case "text":
            return _Text(column.name, text_features)
        case "number" | "boolean":
            return _Number(column, found, scale)
        case "date":
            return _Date(column, found, scale)
    return None


class _Number:
    """A number, scaled; a boolean is 1 or 0 and stays so."""

    def __init__(self, column: Column, found: Mapping[str, Any], scale: Scale) -> None:
        self.column, self.scale = column, scale
        self.how = found.get("how")
        self.told = scale != "none" and found["gaps"]
        self.names = [column.name, f"{column.name} is missing"] if self.told else [column.name]
        self.fill = float("nan") if scale == "none" else float(self._scaled(np.array([found["mean"]]))[0])

    def encode(self, values: Sequence[Any]) -> NDArray:
        read_B = numbers(self.column, values)
        return self._filled(read_B)

    def _filled(self, read_B: NDArray) -> NDArray:
        gaps_B = np.isnan(read_B)
        filled_B = np.where(gaps_B, self.fill, self._scaled(read_B))
        return np.stack([filled_B, gaps_B], axis=1) if self.told else filled_B[:, None]

    def _scaled(self, read_B: NDArray) -> NDArray:
        return read_B if self.how is None else applied(self.scale, self.how, read_B)


class _Date(_Number):
    """Days since 1970, scaled, and where in the year, the week and, if times differ, the day."""

    def __init__(self, column: Column, found: Mapping[str, Any], scale: Scale) -> None:
        super().__init__(column, found, scale)
        self.cycles = ["month", "weekday", *(["hour"] if found["hours"] else [])]
        self.names = [f"{column.name} (days)", *self.names[1:]]
        self.names += [f"{column.name} ({cycle}, {wave})" for cycle in self.cycles for wave in ("sine", "cosine")]

    def encode(self, values: Sequence[Any]) -> NDArray:
        read_B = numbers(self.column, values)
        gaps_B = np.isnan(read_B)
        second_B = np.where(gaps_B, 0, read_B)
        day_B = np.floor(second_B / DAY).astype(np.int64)
        where = {
            "month": lambda: day_B.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12,
            "weekday": lambda: (day_B + 3) % 7,
            "hour": lambda: (second_B % DAY // 3600).astype(np.int64),
        }
        waves = [np.where(gaps_B[:, None], 0 if self.told else self.fill, _CIRCLES[cycle][where[cycle]()]) for cycle in self.cycles]
        return np.concatenate([self._filled(read_B / DAY), *waves], axis=1)


def _circle(steps: int) -> NDArray:
    angles = 2 * np.pi * np.arange(steps) / steps
    return np.stack([np.sin(angles), np.cos(angles)], axis=1)


_CIRCLES = {"month": _circle(12), "weekday": _circle(7), "hour": _circle(24)}


class _Category:
    def __init__(self, name: str, categories: Sequence[str]) -> None:
        self.names = [name]
        self.codes = {category: code for code, category in enumerate(categories, FIRST)}

    def encode(self, values: Sequence[Any]) -> NDArray:
        codes = self.codes
        found = (MISSING if (w := word(v)) is None else codes.get(w, OTHER) for v in values)
        return np.fromiter(found, np.int32, len(values))[:, None]


class _Text:
    """Words hashed into a few buckets, each with a sign, so that two words in one bucket are as likely to cancel as to add
    (Weinberger et al. 2009, Feature Hashing for Large Scale Multitask Learning, section 2): log counts, of length 1 together.
    """

    def __init__(self, name: str, features: int) -> None:
        self.features = features
        self.names = [f"{name} (words {i})" for i in range(features)]
        self.words = plugins.load("processors", "words")(["text"])

    def encode(self, values: Sequence[Any]) -> NDArray:
        if not self.features or not values:
            return np.zeros((len(values), self.features))
        pieces = [self._hashed(values[i : i + _TEXTS_AT_A_TIME]) for i in range(0, len(values), _TEXTS_AT_A_TIME)]
        return np.concatenate(pieces)

    def _hashed(self, values: Sequence[Any]) -> NDArray:
        found = self.words.encode([{"text": word(v) or ""} for v in values])
        hashes: Ragged = found["features"]
        row = np.repeat(np.arange(len(values)), hashes.lengths)
        sign = 1 - 2 * (hashes.values // self.features % 2)
        weights = sign * _LOG_COUNTS[found["counts"].values]
        counts_BF = np.bincount(row * self.features + hashes.values % self.features, weights, len(values) * self.features).reshape(len(values), -1)
        length_B = np.sqrt(np.square(counts_BF).sum(axis=1))
        return counts_BF / np.where(length_B, length_B, 1)[:, None]


def _categories(words: Counter[str], most: int) -> list[str]:
    """Return the categories to tell apart, commonest first, those equally common in the order of their letters."""
    least = 1 if len(words) <= FEW else 2
    ordered = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    return [w for w, count in ordered[:most] if count >= least]
