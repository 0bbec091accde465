"""judged report → report.json and report.html, which travel in the package.

Layout of the folder: `report.json` (core/report.py), `report.html` (one page, nothing loaded from elsewhere).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penjing.core.files import write_json, write_text


def write_report(report: Mapping[str, Any], folder: Path) -> None:
    from penjing.stages.report.page import render  # brings Altair and Vega, half a second that no other step should wait for

    write_json(folder / "report.json", dict(report))
    write_text(folder / "report.html", render(report))
