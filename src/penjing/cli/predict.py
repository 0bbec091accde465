"""penjing predict"""

from __future__ import annotations

from pathlib import Path

import click

from penjing.cli.options import FOLDER


@click.command()
@click.argument("package", type=FOLDER)
@click.argument("source", required=False, type=FOLDER)
@click.option("--text", metavar="TEXT", help="Answer this one text instead of a file.")
@click.option("-o", "--output", type=FOLDER, metavar="FILE", help="CSV or JSONL, by its ending.  [default: JSONL to standard output]")
@click.option("--tier", metavar="NAME", help="Tier, blend or cascade that answers, instead of the package's choice.")
@click.option("--encoding", default="utf-8", show_default=True, help="Character encoding of a text file.")
def command(package: Path, source: Path | None, text: str | None, output: Path | None, tier: str | None, encoding: str) -> None:
    """Answer every row of SOURCE from PACKAGE, in bounded memory. PACKAGE may be the folder of a run that is still under way."""
    import json

    from penjing.cli.progress import Bars
    from penjing.pipeline.opened import opened
    from penjing.pipeline.start import signer
    from penjing.stages.predict import predict

    if (source is None) == (text is None):
        raise click.UsageError("Give either a SOURCE file or --text.")
    found, bars = opened(package, signer(), tier), Bars()
    if found.signed_by is None:
        bars.say(f"{package} is a run that is not packed yet: {found.predictor.name!r} answers unsigned.")
    if source is None:
        answer = found.predictor.predict([dict.fromkeys(found.predictor.task.example, text)])[0]
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    count = predict(found.predictor, source, output, encoding, bars)
    if output is not None:
        bars.say(f"Answered {count:,} rows into {output}.")
