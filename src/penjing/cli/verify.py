"""penjing verify"""

from __future__ import annotations

from pathlib import Path

import click

from penjing.cli.options import FOLDER


@click.command()
@click.argument("package", type=FOLDER)
@click.option("--url", metavar="URL", help="A running server to compare with the package.")
@click.option("--rows", type=FOLDER, metavar="FILE", help="Rows to ask both; goes with --url.")
def command(package: Path, url: str | None, rows: Path | None) -> None:
    """Check PACKAGE's signature and every digest; with --url, that a server answers as the package does. Exit code 4 where not."""
    from penjing.core.errors import Refused
    from penjing.pipeline import start, verify

    if (url is None) != (rows is None):
        raise click.UsageError("--url and --rows go together: the server is asked the rows.")
    found = verify.verify(package, start.signer())
    click.echo(f"{package}: signed by {found.signed_by}, {len(found.manifest.digests)} files unchanged, model {found.manifest.model[:12]}.")
    if url is not None and rows is not None:
        served = verify.compare_served(found, url, rows)
        click.echo(
            f"Parity packaged → served: {served.same} of {served.rows} rows the same, largest score difference {served.largest_difference:.1e}."
        )
        if served.score is not None:
            click.echo(f"Score difference {served.score.value:+.4f} a row (95 % interval {served.score.low:.4f} to {served.score.high:.4f}).")
        if not served.holds:
            raise Refused(f"{url} does not answer as {package} does: {served.cause}.")
