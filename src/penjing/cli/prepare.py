"""penjing prepare"""

from __future__ import annotations

from typing import Any

import click

from penjing.cli.options import go, of_a_run


@click.command()
@of_a_run
def command(**options: Any) -> None:
    """Read, clean and divide SOURCE; say what was inferred and dropped."""
    done = go("prepare", **options)
    click.echo(f"Done: {done.folder}")
