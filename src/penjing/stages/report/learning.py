"""How each tier learnt, beside what that was estimated to cost: from the folders of the learnt tiers to the report. Estimates nothing itself.

In the report, `learning`: {TIER: {curves: [C], more: curves that are not shown, probed: whether the estimate rests on a trial, or null,
stopped: why it stopped early, or null, costs: {seconds | memory_bytes | joules: {estimate, low, high, actual}}}},
C = {name, training: [{step, epoch, seconds, loss, rate}], validation: [{step, epoch, seconds, loss, quality}]}.
Long curves are thinned: a point is then the mean of those it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from penjing.core.curve import Point, read
from penjing.core.files import read_json

_MOST_POINTS = 160
"""Of the training and of the validation part of a curve."""
_MOST_CURVES = 6
"""Of one tier: one that tries many settings has many."""
_MOST_LINES = 12
"""In the table of a curve."""


def learning(learnt: Mapping[str, Path], beside: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return the report's `learning` for the folders of learnt tiers.

    beside: {tier, probed, stopped, seconds | memory_bytes | joules: {estimate, low, high, actual}} of those that were estimated; of others what
    their training.json says is told alone.
    """
    known = {row["tier"]: row for row in beside}
    return {tier: _told(folder / "measured", known.get(tier)) for tier, folder in learnt.items()}


def lines(curve: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the table of a curve: {step, epoch, seconds, training, validation, quality, rate} at the ends of epochs, or along the way."""
    training, validation = curve["training"], curve["validation"]
    ends = _spread(validation or training, _MOST_LINES)
    found = []
    for end in ends:
        near: dict[str, Any] = min(training, key=lambda p: abs(p["step"] - end["step"]), default={})
        judged = end if validation else {}
        part = {key: end[key] for key in ("step", "epoch", "seconds")}
        found.append(
            part | {"training": near.get("loss"), "rate": near.get("rate"), "validation": judged.get("loss"), "quality": judged.get("quality")}
        )
    return found


def _told(measured: Path, row: Mapping[str, Any] | None) -> dict[str, Any]:
    curves = read(measured / "curve.jsonl")
    shown = [
        {"name": name, "training": _training(points), "validation": _validation(points)} for name, points in islice(curves.items(), _MOST_CURVES)
    ]
    told = {key: None if row is None else row.get(key) for key in ("probed", "stopped")}
    took = read_json(measured / "training.json")
    actual = {"seconds": took["seconds"], "memory_bytes": took.get("memory_bytes"), "joules": took["energy"]["joules"]}
    costs = {name: _cost(row[name] if row is not None else {}, value) for name, value in actual.items()}
    return {"curves": shown, "more": max(0, len(curves) - _MOST_CURVES), **told, "costs": costs}


def _cost(beside: Mapping[str, Any], took: float | None) -> dict[str, Any]:
    """Return {estimate, low, high, actual}; null for what was not estimated or not measured. took: where `beside` says nothing."""
    actual = beside.get("actual")
    return {**{end: beside.get(end) for end in ("estimate", "low", "high")}, "actual": took if actual is None else actual}


def _training(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return at most some points of the training rows, each the mean of those that it stands for, weighed by their rows."""
    found = [point for point in points if math.isfinite(point.loss)]
    return [_mean(group) for group in _groups(found, _MOST_POINTS)]


def _mean(group: Sequence[Point]) -> dict[str, Any]:
    last, rows = group[-1], [max(point.examples, 1) for point in group]
    loss = sum(point.loss * n for point, n in zip(group, rows, strict=True)) / sum(rows)
    return {**_place(last), "loss": _short(loss), "rate": _short(last.rate)}


def _validation(points: Sequence[Point]) -> list[dict[str, Any]]:
    found = [
        {**_place(point), "loss": _short(point.validation_loss), "quality": None if point.quality is None else _short(point.quality)}
        for point in points
        if point.validation_loss is not None
    ]
    return _spread(found, _MOST_POINTS)


def _place(point: Point) -> dict[str, Any]:
    return {"step": point.step, "epoch": round(point.epoch, 4), "seconds": round(point.seconds, 2)}


def _groups(points: Sequence[Point], most: int) -> Iterator[Sequence[Point]]:
    """Yield the points in at most `most` groups of neighbours."""
    size = max(1, math.ceil(len(points) / most))
    for start in range(0, len(points), size):
        yield points[start : start + size]


def _spread(found: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Return at most `most` of them, evenly, the first and the last too."""
    if len(found) <= most:
        return list(found)
    return [found[round(i * (len(found) - 1) / (most - 1))] for i in range(most)]


def _short(value: float) -> float:
    return float(f"{value:.5g}")
