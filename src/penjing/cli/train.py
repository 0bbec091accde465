"""penjing train"""

from __future__ import annotations

from typing import Any

import click

from penjing.cli.options import go, of_a_run


@click.command()
@of_a_run
def command(**options: Any) -> None:
    """Learn the tiers from SOURCE; each is usable the moment it is learnt."""
    done = go("train", **options)
    click.echo(f"Done: {done.folder}")
