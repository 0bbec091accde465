"""penjing run"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from penjing.cli.options import go, of_a_run, with_override


@click.command()
@of_a_run
@with_override
def command(**options: Any) -> None:
    """Take SOURCE (CSV, TSV, JSONL, Parquet, a folder of images or a Hugging Face dataset folder) to a signed package.

    SOURCE may also be a penjing.yaml. What is finished is not done again; a killed run goes on.
    """
    from penjing.cli.tables import leaderboard
    from penjing.core.errors import GateClosed

    try:
        done = go("pack", **options)
    except GateClosed as closed:
        if closed.report is not None:
            leaderboard(closed.report)
        raise
    leaderboard(done.report)
    click.echo(f"Read it:    {done.folder / 'package' / 'report.html'}")
    click.echo(f"Serve it:   penjing serve {done.folder / 'package'}")
    click.echo(f"Ask it:     penjing predict {done.folder / 'package'} {_asked(done.data.task.example)}")
    click.echo(f"Change it:  {done.folder / 'penjing.yaml'}, then: penjing run {done.folder / 'penjing.yaml'} --run {done.folder}")


def _asked(example: Mapping[str, Any]) -> str:
    """Return how a row like `example` is asked about: a text, a file, or the fields of a table."""
    if all(isinstance(value, str) for value in example.values()) and len(example) == 1:
        return '--text "…"'
    if any(isinstance(value, bytes) for value in example.values()):
        return "FILE"
    return f"--row '{json.dumps(dict(example), ensure_ascii=False)}'"
