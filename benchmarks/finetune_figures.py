"""What the runs of finetune.py mean: rates, times to a quality, a test of non-inferiority, and the curves as a picture. Starts nothing.

Shapes: S seeds, N test rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np

from penjing.core.energy import JOULES_PER_WATT_HOUR, estimated
from penjing.core.types import NDArray

Result = dict[str, Any]
"""What a child wrote: finetune_clock.finish."""

MARGIN = 0.005
"""Share of the test rows that ours may be worse by."""
_RESAMPLES = 5000


def watt_hours(busy: float, seconds: float, cores: int) -> float:
    """Return the likely energy, estimated alike for every side from the seconds that its cores were busy (core/energy.py)."""
    return estimated(busy, seconds, cores).joules / JOULES_PER_WATT_HOUR


def operations(model: Path, lengths: Sequence[int]) -> float:
    """Return the multiply-adds x 2 that learning everything from one text needs, in the mean, padding none: three forward passes (Kaplan et al.
    2020, section 2.1) of the layers' matrices and of attention's two products."""
    described = json.loads((model / "config.json").read_text())
    hidden, inner, layers = (described[name] for name in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    tokens = np.asarray(lengths, np.float64)
    forward = 2 * layers * (4 * hidden**2 + 2 * hidden * inner) * tokens + 4 * layers * hidden * tokens**2
    return float(3 * forward.mean())


def loop_rate(result: Result) -> float:
    """Return texts a second of the steps alone."""
    return result["loop_examples"] / result["loop_seconds"] if result["loop_seconds"] else float("nan")


def whole_rate(result: Result, rows: int, epochs: int) -> float:
    """Return texts a second of everything between texts and a model that answers: reading, learning, validating, saving."""
    read = result["loop_examples"] if result["capped"] else rows * epochs
    return float(read / result["seconds"])


def not_worse(ours: Sequence[Result], theirs: Sequence[Result], labels: Sequence[int], margin: float = MARGIN) -> dict[str, Any]:
    """Return how much more is answered rightly, and whether the lower end of the 95 % interval is above -margin.

    Both sides of a seed answered the same rows, so it is their difference, row by row, that is resampled: seeds and rows each with replacement
    (the pigeonhole bootstrap, Owen 2007, Annals of Applied Statistics 1:386, which is rather too wide than too narrow for crossed effects).
    """
    seeds = sorted({one["seed"] for one in ours} & {one["seed"] for one in theirs})
    right = [{one["seed"]: np.array(one["said"]) == np.array(labels) for one in side} for side in (ours, theirs)]
    gained_SN = np.stack([right[0][seed].astype(np.float64) - right[1][seed] for seed in seeds])
    low, high = _interval(gained_SN)
    method = f"pigeonhole bootstrap of {len(seeds)} seeds x {gained_SN.shape[1]} rows, {_RESAMPLES} resamples, 95 %, margin {margin:.1%}"
    return {"value": float(gained_SN.mean()), "low": low, "high": high, "not_inferior": low > -margin, "method": method}


def _interval(gained_SN: NDArray) -> tuple[float, float]:
    rng, (seeds, rows) = np.random.default_rng(0), gained_SN.shape
    means = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        counts = rng.multinomial(rows, np.full(rows, 1 / rows))
        means[i] = gained_SN[rng.integers(0, seeds, seeds)].mean(axis=0) @ counts / rows
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def first_time(result: Result, accuracy: float, last: float) -> float | None:
    """Return the seconds after which the curve first reaches `accuracy`, its last point by `last`; None where it never does."""
    *looks, end = result["points"]
    found = [point["seconds"] for point in looks if point["accuracy"] >= accuracy]
    return float(min(found)) if found else float(end["seconds"]) if last >= accuracy else None


def few_accuracy(result: Result, labels: Sequence[int], few: int) -> float:
    """Return the accuracy, at the end, on the rows that were asked while learning went on."""
    return float(np.mean(np.array(result["said"][:few]) == np.array(labels[:few])))


def drawn(results: Sequence[Result], cores: int, labels: Sequence[int], few: int, path: Path) -> None:
    """Draw accuracy over seconds and over watt-hours, one line a side and seed, into an SVG or PNG file."""
    points = [
        {"side": one["side"], "seed": one["seed"], "seconds": at["seconds"], "Wh": watt_hours(at["busy"], at["seconds"], cores), "accuracy": right}
        for one in results
        for at, right in _on_few(one, labels, few)
    ]
    base = alt.Chart(alt.Data(values=points)).encode(
        y=alt.Y("accuracy:Q", title=f"accuracy on {few} test rows", scale=alt.Scale(zero=False), axis=alt.Axis(format="%")),
        color=alt.Color("side:N", title=None),
        detail="seed:N",
    )
    panels = []
    for name, title in (("seconds", "seconds (log scale)"), ("Wh", "watt-hours, estimated (log scale)")):
        placed = base.encode(x=alt.X(f"{name}:Q", title=title, scale=alt.Scale(type="log")), order=f"{name}:Q")
        panels.append((placed.mark_line() + placed.mark_point(filled=True, size=40)).properties(width=420, height=320))
    path.parent.mkdir(parents=True, exist_ok=True)
    alt.hconcat(*panels).save(str(path))


def _on_few(result: Result, labels: Sequence[int], few: int) -> list[tuple[Mapping[str, float], float]]:
    *looks, end = result["points"]
    return [*((at, at["accuracy"]) for at in looks), (end, few_accuracy(result, labels, few))]
