"""penjing init"""

from __future__ import annotations

from pathlib import Path

import click

from penjing.cli.options import FOLDER


@click.command()
@click.argument("source", required=False, type=FOLDER)
@click.option("--target", metavar="COLUMN", help="Column to predict.")
@click.option("--preset", metavar="NAME", help="Write this preset (credit-risk, medical-images) into the penjing.yaml.")
@click.option("--trust", type=FOLDER, metavar="FILE", help="Trust the public key in FILE (PEM) on this machine.")
@click.option("--name", default=None, metavar="NAME", help="Name under which the trusted key is shown.  [default: FILE's name]")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of penjing.yaml and do nothing else.")
def command(source: Path | None, target: str | None, preset: str | None, trust: Path | None, name: str | None, schema: bool) -> None:
    """Make a signing key where there is none; with SOURCE, also a penjing.yaml for it with every key explained."""
    from penjing.pipeline import config, start

    if schema:
        click.echo(config.schema(), nl=False)
        return
    start.make_key(click.echo)
    click.echo(f"Signing key: {start.own_key()}")
    if trust is not None:
        click.echo(f"Trusted: {start.trust(trust, name or trust.stem)}")
    if preset is not None and source is None:
        raise click.UsageError("A preset is written for data: penjing init DATA --target COLUMN --preset NAME.")
    if source is not None:
        click.echo(f"Wrote {start.write_config(source, target, Path(), preset)}. Next: penjing run")
