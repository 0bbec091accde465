"""Prints a report as a leaderboard. Knows how a report is laid out; measures nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from penjing.core.report import figure

WIDTH = 124
"""Characters that a leaderboard of two quality measures needs."""
_COLUMNS: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "predictions_per_second": ("rows/s", lambda m: f"{m['value']:,.0f}"),
    "p50_latency_ms": ("p50 ms", lambda m: f"{m['value']:.2f}"),
    "p95_latency_ms": ("p95 ms", lambda m: f"{m['value']:.2f}"),
    "size_bytes": ("size MB", lambda m: f"{m['value'] / 1e6:.1f}"),
}


def leaderboard(report: dict[str, Any]) -> None:
    """Print every tier with its quality (95 % interval), speed, size and seconds to learn; then what was won."""
    entries = report["leaderboard"]
    quality = [m["name"] for m in entries[0]["measurements"] if m["name"] not in _COLUMNS]
    rows = entries[0]["measurements"][0]["n"]
    title = f"{report['task']} of {report['target']!r}, {rows:,} test rows; in brackets 95 % intervals"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("tier")
    for name in [*(q.replace("_", "-") for q in quality), *(title for title, _ in _COLUMNS.values()), "learnt in s"]:
        table.add_column(name, justify="right")
    for entry in entries:
        cells = [_quality(figure(entry, name)) for name in quality]
        cells += [show(m) if (m := figure(entry, name)) else "" for name, (_, show) in _COLUMNS.items()]
        learnt = f"{entry['seconds_to_learn']:.1f}" if entry.get("seconds_to_learn") is not None else ""
        serves = entry["tier"] == report["serves"]
        table.add_row(f"{entry['tier']}{' *' if serves else ''}", *cells, learnt, style="bold" if serves else None)
    console = Console(highlight=False)
    # A leaderboard is read by columns: on a narrow screen its lines run on rather than break inside a cell.
    Console(highlight=False, width=max(console.width, WIDTH)).print(table)
    for sentence in [*report["says"], f"* answers: {report['serves']}, the best on the validation rows."]:
        console.print(sentence, markup=False, soft_wrap=True)


def _quality(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return ""
    return f"{measured['value']:.3f} \\[{measured['low']:.3f}, {measured['high']:.3f}]"
