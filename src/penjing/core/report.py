"""The report of a run: every tier's measurements in one place, and what they say in words. Judges nothing by limits.

`report.json`: {format, task, target, columns, counts, dropped, leaderboard: [{tier, seconds_to_learn, validation, measurements}],
serves, says}. A measurement is core.types.Measurement as a mapping.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

FORMAT = 1


def figure(entry: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Return the measurement called `name` of one line of the leaderboard."""
    return next((m for m in entry["measurements"] if m["name"] == name), None)


def best(leaderboard: Sequence[dict[str, Any]]) -> str:
    """Return the tier that did best on the validation rows; among equals the first, which is the cheapest.

    Without validation rows it is the last tier: chosen by design, since to choose on test rows would spoil their figures.
    """
    judged = [entry for entry in leaderboard if entry["validation"]]
    if not judged:
        return str(leaderboard[-1]["tier"])
    return str(max(judged, key=lambda entry: _oriented(entry["validation"][0]))["tier"])


def comparisons(leaderboard: Sequence[dict[str, Any]]) -> list[str]:
    """Return one sentence for each step up: what it won on the test rows, or that the intervals overlap and so nothing is proved."""
    sentences = []
    for cheaper, dearer in pairwise(leaderboard):
        ours, theirs = dearer["measurements"][0], cheaper["measurements"][0]
        change = f"{cheaper['tier']} → {dearer['tier']}: {ours['name']} {theirs['value']:.3f} → {ours['value']:.3f}"
        if ours["low"] <= theirs["high"] and theirs["low"] <= ours["high"]:
            sentences.append(f"{change}: the 95 % intervals overlap on {ours['n']} test rows, so nothing is proved to be won.")
        elif _oriented(ours) > _oriented(theirs):
            sentences.append(f"{change}: won; the 95 % intervals do not overlap.")
        else:
            sentences.append(f"{change}: lost; the 95 % intervals do not overlap.")
    return sentences


def _oriented(measurement: dict[str, Any]) -> float:
    value = float(measurement["value"])
    return value if measurement["better"] == "higher" else -value
