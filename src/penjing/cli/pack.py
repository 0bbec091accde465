"""penjing pack"""

from __future__ import annotations

from typing import Any

import click

from penjing.cli.options import go, of_a_run, with_override


@click.command()
@of_a_run
@with_override
def command(**options: Any) -> None:
    """Seal and sign the tiers learnt from SOURCE into a package."""
    done = go("pack", **options)
    click.echo(f"Done: {done.folder}")
