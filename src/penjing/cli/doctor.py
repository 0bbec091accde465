"""penjing doctor"""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """Say what this machine can do with Penjing, and what to install for the rest."""
    from penjing.pipeline.doctor import examine

    for finding in examine():
        mark = click.style("ok ", fg="green") if finding.fine else click.style("-- ", fg="yellow")
        click.echo(f"{mark} {finding.what:13} {finding.says}")
