"""penjing evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from penjing.cli.options import FOLDER, go, of_a_run


@click.command()
@of_a_run
@click.option("--package", type=FOLDER, metavar="DIR", help="Measure this package on the rows of SOURCE, instead of a run's tiers on its test rows.")
def command(package: Path | None, source: Path | None, **options: Any) -> None:
    """Calibrate, measure on test rows, judge and report: quality with 95 % intervals, speed, size, energy."""
    from penjing.cli.tables import leaderboard

    if package is None:
        leaderboard(go("evaluate", source=source, **options).report)
        return
    if source is None:
        raise click.UsageError("Give the file of labelled rows to measure the package on.")
    from penjing.cli.progress import Bars
    from penjing.pipeline.measure import measure_package
    from penjing.pipeline.start import signer

    leaderboard(measure_package(package, source, signer(), Bars()))
