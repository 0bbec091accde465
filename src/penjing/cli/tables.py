"""Prints a report: the leaderboard, the price list, what was won, and last what it recommends. Knows how a report is laid out; measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penjing.core.report import STEPS, best, figure, gained

WIDTH = 176
"""Characters that the widest leaderboard needs, of four quality measures; one of two keeps below 130."""
_COLUMNS: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "predictions_per_second": ("rows/s", lambda m: f"{m['value']:,.0f}"),
    "p95_latency_ms": ("p95 ms", lambda m: f"{m['value']:.2f}"),
    "size_bytes": ("size MB", lambda m: f"{m['value'] / 1e6:.1f}"),
    "watt_hours_per_1000": ("mWh/1000", lambda m: f"{'~' if _ranges(m) else ''}{1000 * m['value']:,.3g}"),
}
_STYLE: dict[str, Any] = {"box": box.SIMPLE_HEAD, "title_justify": "left", "padding": (0, 1, 0, 0), "pad_edge": False}
_ELSEWHERE = {"p50_latency_ms", "calibration_error"}
"""Measured, and left to the report's page."""


def leaderboard(report: dict[str, Any]) -> None:
    """Print every tier with its quality (95 % interval), speed, size and cost; the price of each step; then the sentences.

    Only task, target, leaderboard and serves must be in `report`; what else is there is printed.
    """
    console = Console(highlight=False)
    # A leaderboard is read by columns: on a narrow screen its lines run on rather than break inside a cell.
    wide = Console(highlight=False, width=max(console.width, WIDTH))
    wide.print(_standings(report))
    if steps := [step for step in report.get("prices") or [] if step["kind"] in STEPS]:
        wide.print(_prices(steps))
    for sentence in _sentences(report):
        console.print(sentence, markup=False, soft_wrap=True)


def _standings(report: Mapping[str, Any]) -> Table:
    entries = report["leaderboard"]
    quality = [m["name"] for m in entries[0]["measurements"] if m["name"] not in {*_COLUMNS, *_ELSEWHERE}]
    shown = {name: column for name, column in _COLUMNS.items() if any(figure(entry, name) for entry in entries)}
    title = f"{report['task']} of {report['target']!r}, {entries[0]['measurements'][0]['n']:,} test rows; in brackets 95 % intervals"
    table = Table(**_STYLE, title=escape(title))
    table.add_column("tier", overflow="fold", max_width=32)
    for name in [*(q.replace("_", "-") for q in quality), *(title for title, _ in shown.values()), "learnt in s"]:
        table.add_column(name, justify="right", no_wrap=True)
    for entry in entries:
        cells = [_quality(figure(entry, name)) for name in quality]
        cells += [show(m) if (m := figure(entry, name)) else "" for name, (_, show) in shown.items()]
        learnt = f"{entry['seconds_to_learn']:.1f}" if entry.get("seconds_to_learn") is not None else ""
        serves = entry["tier"] == report["serves"]
        table.add_row(f"{escape(entry['tier'])}{' *' if serves else ''}", *cells, learnt, style="bold" if serves else None)
    return table


def _prices(steps: list[dict[str, Any]]) -> Table:
    table = Table(**_STYLE, title="What each step gains on the same rows, and costs more (~ is an estimate)")
    table.add_column("step", overflow="fold", max_width=44)
    for name in ("gain [95 %]", "p", "to learn", "s/1000", "mWh/1000", f"{steps[0]['currency']}/million"):
        table.add_column(escape(name), justify="right", no_wrap=True)
    for step in steps:
        seconds, watt_hours, money = (step["per_1000"][name] for name in ("seconds", "watt_hours", "money"))
        learning = step["training"]["seconds"]
        table.add_row(
            escape(f"{step['from']} → {step['to']}"),
            escape(_gain(step)),
            "<0.001" if step["gain"]["p"] < 0.001 else f"{step['gain']['p']:.2g}",
            f"{learning['more']:+,.1f} s" if learning else "",
            f"{seconds['more']:+,.3g}" if seconds else "",
            _estimate(watt_hours, 1000, 3),
            _estimate(money, 1000, 2),
            style="bold" if step["gain"]["proven"] == "better" else None,
        )
    return table


def _sentences(report: Mapping[str, Any]) -> list[str]:
    entries = report["leaderboard"]
    serves: Mapping[str, Any] = next((entry for entry in entries if entry["tier"] == report["serves"]), {})
    why = ", the best on the validation rows" if serves.get("validation") and best(entries) == report["serves"] else ""
    if serves.get("kind") == "cascade":
        why = ", by what its calibration promises"
    told = [*report.get("says", []), *(f"Warning: {sentence}" for sentence in report.get("warnings") or [])]
    told.append(f"* answers: {report['serves']}{why}.")
    return [*told, *([report["recommends"]] if report.get("recommends") else [])]


def _gain(step: Mapping[str, Any]) -> str:
    """Return "+2.3 points [0.5, 4.1]"."""
    return gained(step).replace("(95 % interval ", "[").replace(" to ", ", ").replace(")", "]")


def _estimate(cost: Mapping[str, Any] | None, scale: float, digits: int) -> str:
    if not cost:
        return ""
    more = scale * cost["more"]
    return f"{'~' if _ranges(cost) else ''}{f'{more:+,.{digits}g}' if abs(more) >= 0.0005 else '0'}"


def _ranges(cost: Mapping[str, Any]) -> bool:
    """Return whether the figure is an estimate with a range."""
    return bool(cost.get("low") != cost.get("high"))


def _quality(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return ""
    if measured.get("low") is None:
        return f"{measured['value']:.3f}"
    return f"{measured['value']:.3f} \\[{measured['low']:.3f}, {measured['high']:.3f}]"
