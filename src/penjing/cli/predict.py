"""penjing predict"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penjing.cli.options import FOLDER

if TYPE_CHECKING:
    from penjing.core.types import Row


@click.command()
@click.argument("package", type=FOLDER)
@click.argument("source", required=False, type=FOLDER)
@click.option("--row", metavar="JSON", help='Answer this one row instead of a file: {"column": value}. For a file, "@NAME" names it.')
@click.option("--text", metavar="TEXT", help="Answer this one text instead of a file.")
@click.option("-o", "--output", type=FOLDER, metavar="FILE", help="CSV or JSONL, by its ending.  [default: JSONL to standard output]")
@click.option("--tier", metavar="NAME", help="Tier, blend or cascade that answers, instead of the package's choice.")
@click.option("--encoding", default="utf-8", show_default=True, help="Character encoding of a text file.")
def command(package: Path, source: Path | None, row: str | None, text: str | None, output: Path | None, tier: str | None, encoding: str) -> None:
    """Answer every row of SOURCE from PACKAGE, in bounded memory. PACKAGE may be the folder of a run that is still under way."""
    from penjing.cli.progress import Bars
    from penjing.pipeline.opened import opened
    from penjing.pipeline.start import signer
    from penjing.stages.predict import as_line, predict

    if sum(given is not None for given in (source, row, text)) != 1:
        raise click.UsageError("Give one of: a SOURCE file, --row or --text.")
    found, bars = opened(package, signer(), tier), Bars()
    if found.signed_by is None:
        bars.say(f"{package} is a run that is not packed yet: {found.predictor.name!r} answers unsigned.")
    if source is None:
        example = found.predictor.task.example
        asked = _text(text, example) if text is not None else _row(str(row), example)
        click.echo(as_line(found.predictor.predict([asked])[0]))
        return
    count = predict(found.predictor, source, output, encoding, bars)
    if output is not None:
        bars.say(f"Answered {count:,} rows into {output}.")


def _text(text: str, example: Row) -> Row:
    if len(example) != 1 or not all(isinstance(like, str) for like in example.values()):
        columns = ", ".join(map(repr, example))
        raise click.UsageError(f"--text is for a model that reads one text, and this one reads {columns}. Use --row '{{\"column\": value}}'.")
    return dict.fromkeys(example, text)


def _row(text: str, example: Row) -> Row:
    from penjing.core.errors import BadRequest
    from penjing.stages.serve.bodies import json_in, row_of

    try:
        given = json_in(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"--row is not JSON: {error}. Give an object: --row '{{\"column\": value}}'.") from error
    if isinstance(given, dict):
        given = {name: _read(value) if isinstance(example.get(name), bytes) else value for name, value in given.items()}
    return row_of(1, given, example)


def _read(value: Any) -> Any:
    """Return the bytes of the file that "@NAME" names, and any other value as it is. Raises BadRequest where there is no such file."""
    from penjing.core.errors import BadRequest

    if not isinstance(value, str) or not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_bytes()
    except OSError as error:
        raise BadRequest(f"{value[1:]} cannot be read: {error.strerror}. Check the name of the file.") from error
