"""The options that several verbs share, and the config that they spell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from penjing.pipeline.run import Run, Until

FOLDER = click.Path(path_type=Path)


def of_a_run(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a run works on."""
    for option in reversed(
        [
            click.argument("source", required=False, type=FOLDER),
            click.option("--target", metavar="COLUMN", help="Column to predict."),
            click.option("--column", "columns", metavar="COLUMN", multiple=True, help="Column to read; may be repeated. Found out where not given."),
            click.option("--exclude", metavar="COLUMN", multiple=True, help="Column not to read; may be repeated."),
            click.option("--test", metavar="FILE", help="File of test rows; a fifth of SOURCE where not given."),
            click.option("--calibration", metavar="FILE", help="File of rows to prove the cascade on; a tenth where that is enough, else none."),
            click.option("--unlabelled", metavar="FILE", help="File of rows without answers, for tiers with a teacher."),
            click.option("--group", metavar="COLUMN", help="Column whose rows stay in one split together."),
            click.option("--time", metavar="COLUMN", help="Column to divide by: the earliest rows to learn from, the latest to test on."),
            click.option("--task", metavar="NAME", help="Task; found out where not given."),
            click.option("--preset", metavar="NAME", help="Config to start from (credit-risk, medical-images); what else is said goes before it."),
            click.option(
                "--tier", "tiers", metavar="NAME", multiple=True, help="Learner to climb, with its defaults (linear, say); may be repeated."
            ),
            click.option("--run", "folder", type=FOLDER, metavar="DIR", help="Folder of the run.  [default: runs/NAME-OF-SOURCE]"),
            click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Any key of penjing.yaml, such as seed=3; may be repeated."),
        ]
    ):
        verb = option(verb)
    return verb


def with_override(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that let a report pass whose limits do not hold."""
    verb = click.option("--because", metavar="REASON", help="Why the limits that do not hold may be passed; signed into the report.")(verb)
    return click.option("--override-by", metavar="NAME", help="Who answers for passing limits that do not hold.")(verb)


def go(
    until: Until,
    source: Path | None,
    folder: Path | None,
    overrides: tuple[str, ...],
    tiers: tuple[str, ...],
    task: str | None,
    columns: tuple[str, ...],
    exclude: tuple[str, ...],
    preset: str | None = None,
    override_by: str | None = None,
    because: str | None = None,
    **data: str | None,
) -> Run:
    """Run the pipeline as the options say: SOURCE is a file of data, or a penjing.yaml (the one here where not given)."""
    from penjing.cli.progress import Bars
    from penjing.core.errors import ConfigError
    from penjing.pipeline.config import read_config
    from penjing.pipeline.presets import laid_over
    from penjing.pipeline.run import run
    from penjing.pipeline.start import make_key, signer
    from penjing.stages.gate import Override

    override = Override.of(override_by, because)

    lists = {key: list(value) for key, value in (("columns", columns), ("exclude", exclude)) if value}
    named = {key: value for key, value in data.items() if value is not None}
    if source is None:
        source = next((p for p in (place / "penjing.yaml" for place in (folder, Path()) if place) if p.exists()), None)
    if source is None:
        raise ConfigError(
            "What is to be learnt from? Give a file (penjing run reviews.csv --target rating), or make a penjing.yaml with: penjing init"
        )
    if source.suffix in (".yaml", ".yml"):
        if preset is not None:
            raise ConfigError(f"{source} says all that a preset would. Write a preset into a new file with: penjing init DATA --preset {preset}")
        more = [f"data.{key}={json.dumps(value)}" for key, value in {**named, **lists}.items()] + ([f"task={task}"] if task else [])
        config = read_config(source, [*more, *([f"tiers=[{', '.join(tiers)}]"] if tiers else []), *overrides])
    else:
        base: dict[str, Any] = {"data": {"source": str(source), **named, **lists}}
        base |= {key: value for key, value in (("task", task), ("tiers", list(tiers))) if value}
        config = read_config(None, overrides, laid_over(preset, base) if preset else base)
    bars = Bars()
    make_key(bars.say)
    try:
        return run(config, folder or Path("runs") / Path(config.data.source).stem, signer(), bars, until, override)
    finally:
        bars.finish()
