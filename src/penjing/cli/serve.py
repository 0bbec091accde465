"""penjing serve"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from penjing.cli.options import FOLDER

if TYPE_CHECKING:
    from penjing.pipeline.opened import Opened


@click.command()
@click.argument("package", type=FOLDER)
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, metavar="N", help="TCP port; 0 takes a free one.  [default: 8080]")
@click.option("--tier", metavar="NAME", help="Tier, blend or cascade that answers, instead of the package's choice.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Any key of the serve section, such as max_rows=128; may be repeated.")
def command(package: Path, host: str | None, port: int | None, tier: str | None, overrides: tuple[str, ...]) -> None:
    """Verify PACKAGE and answer over HTTP. PACKAGE may be the folder of a run that is still under way."""
    from penjing.pipeline.serving import serve
    from penjing.pipeline.start import signer

    given = {"host": host, "port": port, "tier": tier}
    serve(package, [*(f"{key}={value}" for key, value in given.items() if value is not None), *overrides], signer(), _ready)


def _ready(found: Opened, url: str) -> None:
    by = f"signed by {found.signed_by}" if found.signed_by else "not signed: a run that is not packed yet"
    click.echo(f"{found.name} ({by}) answers with {found.predictor.name!r} at {url} (Ctrl-C stops it).")
