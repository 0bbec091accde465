"""penjing plan"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from penjing.cli.options import go, of_a_run

WIDTH = 130
"""Characters that the widest table needs."""


@click.command()
@of_a_run
def command(**options: Any) -> int:
    """Say what each tier will cost to learn on this machine, from a trial of each with some of the rows, before anything is spent.

    SOURCE is prepared first where it is not. Exit code 2 where a tier cannot work here, or none fits the budget.
    """
    told = go("plan", **options).plan
    show(told)
    return 2 if set(told["estimates"]) <= set(told["too_dear"]) else 0


def show(told: Mapping[str, Any]) -> None:
    """Print plan.json as a table, and below it what is changed or left out."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    title = "What learning will cost here, exporting included (in brackets: the range)"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("tier", overflow="fold", max_width=32)
    for name in ("time", "peak memory", "disk", "energy", told["currency"]):
        table.add_column(escape(name), justify="right", no_wrap=True)
    for name, estimate in told["estimates"].items():
        costs = told["costs"][name]
        table.add_row(
            escape(name),
            escape(f"{_time(estimate['seconds'])} [{_time(estimate['seconds_low'])} to {_time(estimate['seconds_high'])}]"),
            escape(f"{_size(estimate['memory_bytes'])} [{_size(estimate['memory_low'])} to {_size(estimate['memory_high'])}]"),
            _size(estimate["disk_bytes"]),
            f"~{costs['joules'] / 3600:,.2g} Wh",
            f"~{costs['money']:,.2g}",
        )
    # A table is read by columns: on a narrow screen its lines run on rather than break inside a cell.
    Console(highlight=False, width=max(console.width, WIDTH)).print(table)
    for name, estimate in told["estimates"].items():
        source = "" if estimate["probed"] else "by a formula, as it was not tried: "
        console.print(f"{name}: {source}{estimate['why']}.", markup=False, soft_wrap=True)
    for what, key in (("Made cheaper", "changed"), ("Too dear", "too_dear"), ("Left out", "left_out")):
        for name, why in told[key].items():
            console.print(f"{what}, tier {name!r}: {why}", markup=False, soft_wrap=True)
    learnt = [estimate for name, estimate in told["estimates"].items() if name not in told["too_dear"]]
    console.print(
        f"In all about {_time(sum(estimate['seconds'] for estimate in learnt))}. Next: the same command with run in place of plan.", markup=False
    )


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
