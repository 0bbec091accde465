"""The model card of a package: README.md with the metadata that Hugging Face reads. Knows the report as plain values; measures nothing.

Rows of the user's data never appear in it, only counts and figures.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

import penjing

_PIPELINES = {"text-regression": "text-classification", "multi-label-text-classification": "text-classification"}
"""Hugging Face's pipeline tag for each task that has not its own name there."""


def card(name: str, serves: str, report: Mapping[str, Any], signed_by: str = "", license_name: str = "unknown") -> str:
    """Return the card of the package `name`, answered by the tier `serves`.

    report: as core/report.py describes; only task, target, columns, counts and leaderboard must be there. "limits": [sentences, optional];
    a leaderboard entry's other figures become columns of the table.
    """
    parts = [_metadata(name, serves, report, license_name), f"# {name}", *_use(report), *_data(report), *_results(serves, report)]
    parts += _cascade(report) + _gates(report) + _running(report) + _trust(signed_by) + _limits(report)
    return "\n\n".join(parts) + "\n"


def _metadata(name: str, serves: str, report: Mapping[str, Any], license_name: str) -> str:
    task = str(report["task"])
    metrics = [
        {"type": m["name"], "value": round(m["value"], 4), "name": m["name"]}
        for entry in report["leaderboard"]
        if entry["tier"] == serves
        for m in entry["measurements"]
        if m.get("low") is not None and m.get("unit") != "Wh"  # figures of the model; the others are the machine's
    ]
    pipeline = {"type": _PIPELINES.get(task, task), "name": task}
    dataset = {"type": "private", "name": "held-out rows of the user's data", "split": "test"}
    values: dict[str, Any] = {
        "license": license_name,
        "library_name": "penjing",
        "pipeline_tag": pipeline["type"],
        "tags": ["penjing", task],
        "metrics": [m["type"] for m in metrics],
    }
    if metrics:
        values["model-index"] = [{"name": name, "results": [{"task": pipeline, "dataset": dataset, "metrics": metrics}]}]
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---"


def _use(report: Mapping[str, Any]) -> list[str]:
    columns = ", ".join(f"`{column}`" for column in report["columns"])
    return [
        "## What it is for",
        f"Predicts `{report['target']}` from {columns} ({str(report['task']).replace('-', ' ')}), for rows like those it was trained on. "
        "It was not tested on others, and is not meant to decide about people without a human who can overrule it.",
    ]


def _data(report: Mapping[str, Any]) -> list[str]:
    counts = "\n".join(f"| {split} | {rows:,} |" for split, rows in report["counts"].items())
    return ["## Data", f"| split | rows |\n| --- | ---: |\n{counts}"]


def _results(serves: str, report: Mapping[str, Any]) -> list[str]:
    """Return the leaderboard as a table: a line a tier, a column a figure."""
    board: Sequence[Mapping[str, Any]] = report["leaderboard"]
    measured = list(dict.fromkeys(m["name"] for entry in board for m in entry["measurements"]))
    others = list(dict.fromkeys(key for entry in board for key, value in entry.items() if _is_number(value)))
    lines = [
        "| " + " | ".join(["tier", *measured, *(key.replace("_", " ") for key in others)]) + " |",
        "| --- " + "| ---: " * len(measured + others) + "|",
    ]
    for entry in board:
        by_name = {m["name"]: m for m in entry["measurements"]}
        tier = f"**{entry['tier']}** (answers)" if entry["tier"] == serves else str(entry["tier"])
        cells = [_figure(by_name[m]) if m in by_name else "" for m in measured]
        cells += [f"{entry[key]:,.4g}" if _is_number(entry.get(key)) else "" for key in others]
        lines.append("| " + " | ".join([tier, *cells]) + " |")
    says = [_bullets(report["says"])] if report.get("says") else []
    recommends = [str(report["recommends"])] if report.get("recommends") else []
    told = "Brackets hold the 95 % interval; that of an energy is the range of its estimate."
    return ["## Results on test rows", *recommends, "\n".join(lines), told, *says]


def _cascade(report: Mapping[str, Any]) -> list[str]:
    """Return what was promised of the cascade, and what it did on the test rows."""
    cascade = report.get("cascade")
    if not cascade:
        return []
    steps = [f"{' + '.join(step['tiers'])}: {step['share']:.0%} of the test rows" for step in cascade["steps"]]
    measured = [f"{m['name'].replace('_', ' ')} on the test rows: {_figure(m)}" for m in cascade["test"]]
    shares = [_bullets([*steps, *measured])] if len(steps) > 1 else []
    return ["## Which tier answers what", _sentence(cascade["why"]), *shares]


def _gates(report: Mapping[str, Any]) -> list[str]:
    """Return the limits that were judged before it was signed, and who overruled one that did not hold."""
    gates, override = report.get("gates"), report.get("override")
    if not gates:
        return []
    lines = [f"| {gate['name']} | {_limit(gate['limit'])} | {_measured(gate)} | {'yes' if gate['holds'] else '**no**'} |" for gate in gates]
    table = "\n".join(["| measurement | limit | measured | holds |", "| --- | --- | ---: | --- |", *lines])
    overruled = [f"**Overruled by {_plain(override['by'])}**, who gave this reason: {_plain(override['reason'])}"] if override else []
    return ["## Limits it was judged by", table, *overruled]


def _limit(limit: Mapping[str, Any]) -> str:
    kind = "at_least" if limit.get("at_least") is not None else "at_most"
    return f"{kind.replace('_', ' ')} {limit[kind]:g}" + (" (worse end)" if limit.get("on") == "worse_end" else "")


def _measured(gate: Mapping[str, Any]) -> str:
    return "unmeasured" if gate["value"] is None else _figure(gate)


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _plain(text: str) -> str:
    """Return a user's words on one line and without Markdown's and HTML's own signs."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", " ".join(text.split()))


def _figure(measurement: Mapping[str, Any]) -> str:
    low, high = measurement.get("low"), measurement.get("high")
    interval = "" if low is None or high is None else f" [{low:.4g}, {high:.4g}]"
    value, unit = measurement["value"], str(measurement.get("unit") or "")
    if unit == "B":
        value, unit = value / 1e6, "MB"
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{shown} {unit}".rstrip() + interval


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _running(report: Mapping[str, Any]) -> list[str]:
    body = json.dumps({"rows": [dict.fromkeys(report["columns"], "…")]}, ensure_ascii=False)
    ask = f"curl http://127.0.0.1:8080/v1/predict -H 'content-type: application/json' \\\n  -d {shlex.quote(body)}"
    return [
        "## How to run it",
        f"```\npip install penjing=={penjing.__version__}\npenjing serve DIR\n{ask}\n```",
        "DIR is the folder that this card lies in.",
    ]


def _trust(signed_by: str) -> list[str]:
    by = f" by {signed_by}" if signed_by else ""
    return [
        "## Who signed it",
        f"Signed{by} (OpenSSF Model Signing, `model.sig`). `penjing verify DIR` names the key, checks every file, and refuses a key "
        "that the machine does not trust.",
    ]


def _limits(report: Mapping[str, Any]) -> list[str]:
    general = [
        "The figures hold for data like the test rows; on other data expect worse.",
        "A score is the model's own estimate, not a guarantee.",
        "It repeats what is unbalanced or unfair in its training data.",
    ]
    return ["## Limits", _bullets([*report.get("limits", []), *(report.get("warnings") or []), *general])]
