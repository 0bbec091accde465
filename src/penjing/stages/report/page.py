"""report.json → one HTML page that holds everything it needs: text, style, charts and what draws them. It reads; it measures and judges nothing.

Labels and names are the user's: every text is escaped, values for the charts are JSON without `<`, and the page's own policy forbids it to load
anything and to run anything but its one script. Without scripts the page is whole: every chart has its figures in a table.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from penjing.core.files import read_json
from penjing.core.report import STEPS
from penjing.stages.report import charts, words
from penjing.stages.report.learning import lines

_HERE = Path(__file__).parent
_WIDE = 12
"""Labels above which a confusion is a map instead of a table."""
_MISTAKES = 12
"""Most frequent mistakes that are listed."""


def render(report: Mapping[str, Any]) -> str:
    """Return the page of a report of format 2 (core/report.py). Only task, target, columns, counts, leaderboard and serves must be there."""
    drawn = _charts(report)
    page = _templates().get_template("page.html")
    return page.render(
        report=report,
        charts=drawn,
        data={name: _json(spec) for name, spec in drawn.items()},
        steps=[step for step in report.get("prices") or [] if step["kind"] in STEPS],
        promise=words.promise(report.get("cascade")),
        mistakes=words.mistakes(report.get("confusion"), _MISTAKES),
        as_table=len((report.get("confusion") or {"labels": []})["labels"]) <= _WIDE,
        slices=_slices(report),
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - our own files
        script=Markup(_script()),  # noqa: S704
        policy=_policy(_script()),
    )


def schema() -> dict[str, Any]:
    """Return the JSON Schema of report.json."""
    described: dict[str, Any] = read_json(_HERE / "penjing.report.schema.json")
    return described


def _charts(report: Mapping[str, Any]) -> dict[str, charts.Spec]:
    """Return the charts that this report has the figures for, by the name of their place."""
    drawn = {"cost": charts.cost(report)}
    cascade, confusion = report.get("cascade"), report.get("confusion")
    if cascade and cascade["curve"]:
        drawn["curve"] = charts.curve(report)
    for i, (tier, told) in enumerate((report.get("learning") or {}).items()):
        for j, curve in enumerate(told["curves"]):
            drawn[f"loss-{i}-{j}"] = charts.losses(curve, f"{tier}, {curve['name']}")
            drawn[f"rate-{i}-{j}"] = charts.rates(curve, f"{tier}, {curve['name']}")
    for i, (tier, found) in enumerate((report.get("reliability") or {}).items()):
        drawn[f"reliability-{i}"] = charts.reliability(found["before"], found["after"], tier)
    if confusion and len(confusion["labels"]) > _WIDE:
        drawn["confusion"] = charts.heat(confusion)
    whole = words.credit_of(report, report["serves"])
    for i, (_, found) in enumerate(_slices(report).items()):
        drawn[f"slice-{i}"] = charts.by_value(found, whole)
    return drawn


def _slices(report: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the slices of each column."""
    return {column: list(found) for column, found in groupby(report.get("slices") or [], key=lambda s: str(s["column"]))}


@cache
def _templates() -> Environment:
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {name: getattr(words, name) for name in words.FILTERS} | {"lines": lines}
    return environment


@cache
def _script() -> str:
    """Return draw.js together with the Vega-Lite that altair wrote the charts for. No text in it ends its script element."""
    version = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    draw = (_HERE / "draw.js").read_text(encoding="utf-8")
    return vl_convert.javascript_bundle(draw, vl_version=version).replace("</script", "<\\/script")


def _json(value: Any) -> Markup:
    """Return JSON that can stand in a script element: no character of it means anything to HTML."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped just above


def _policy(script: str) -> str:
    """Return a content security policy: nothing is loaded, nothing runs but `script`."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
