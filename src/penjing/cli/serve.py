"""penjing serve"""

from __future__ import annotations

from pathlib import Path

import click

from penjing.cli.options import FOLDER


@click.command()
@click.argument("package", type=FOLDER)
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, metavar="N", help="TCP port; 0 takes a free one.  [default: 8080]")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Any key of the serve section, such as max_rows=128; may be repeated.")
def command(package: Path, host: str | None, port: int | None, overrides: tuple[str, ...]) -> None:
    """Verify PACKAGE and answer over HTTP. PACKAGE may be the folder of a run that is still under way."""
    from penjing.pipeline.serving import serve
    from penjing.pipeline.start import signer

    given = [f"{key}={value}" for key, value in (("host", host), ("port", port)) if value is not None]
    serve(package, [*given, *overrides], signer(), click.echo)
