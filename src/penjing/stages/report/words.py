"""Figures of a report as people read them: the filters and small sentences of the page. Knows no HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.core.report import figure

FILTERS = (
    "named",
    "amount",
    "interval",
    "share",
    "change",
    "reach",
    "limit",
    "cost_of",
    "measured",
    "points",
    "gain_interval",
    "promised",
    "estimated",
    "off",
)
"""Functions of this module that the page's template calls."""
_SCALED = {"B": (1e-6, "MB"), "Wh": (1e3, "mWh"), "1/s": (1.0, "")}
"""Units whose figures are easier to read in another."""
_NOTHING = "≈ 0"
_TITLES = {
    "predictions_per_second": "answers a second",
    "p50_latency_ms": "usual wait",
    "p95_latency_ms": "95 % wait less than",
    "size_bytes": "on disk",
    "watt_hours_per_1000": "energy of 1,000 answers",
}


def named(name: str) -> str:
    """Return what a measurement is called on the page."""
    return _TITLES.get(name) or name.replace("_", " ")


def amount(value: float | None, digits: int = 3) -> str:
    """Return a number with `digits` significant digits, as people write it; what is next to nothing is "≈ 0"."""
    if value is None:
        return "–"
    if 0 < abs(value) < 1e-4:
        return _NOTHING
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{float(f'{value:.{digits}g}'):.12g}"


def interval(found: Mapping[str, Any] | None) -> str:
    """Return " [low, high]" of a measurement or a cost; empty where it has none."""
    if not found or found.get("low") is None or found.get("high") is None:
        return ""
    scale = _SCALED.get(found.get("unit") or "", (1.0, ""))[0]
    return f"[{_plain(found['low'] * scale)}, {_plain(found['high'] * scale)}]"


def measured(found: Mapping[str, Any]) -> str:
    """Return a measurement's value in its unit."""
    if found["value"] is None:
        return "unmeasured"
    if found.get("unit") in _SCALED:
        scale, unit = _SCALED[found["unit"]]
        return f"{amount(found['value'] * scale)} {unit}".rstrip()
    return f"{_plain(found['value'])} {found.get('unit') or ''}".rstrip()


def share(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}%}"


def change(cost: Mapping[str, Any] | None, scale: float = 1.0) -> str:
    """Return the difference that a step makes; "about" where it is an estimate."""
    if not cost:
        return "–"
    more = _signed(cost["more"] * scale)
    return more if cost["low"] == cost["high"] or more == _NOTHING else f"about {more}"


def reach(cost: Mapping[str, Any] | None, scale: float = 1.0) -> str:
    """Return the range of an estimate: "[0.2, 0.9]"; empty for what is not one."""
    if not cost or cost["low"] == cost["high"]:
        return ""
    low, high = (amount(cost[end] * scale, 2).replace("-", "−") for end in ("low", "high"))
    return "" if low == high == _NOTHING else f"[{low}, {high}]"


def cost_of(cost: Mapping[str, Any] | None, scale: float = 1.0) -> str:
    """Return the totals of both sides: "2.2 → 414"."""
    return f"{amount(cost['from'] * scale)} → {amount(cost['to'] * scale)}" if cost else ""


def points(step: Mapping[str, Any]) -> str:
    """Return the gain of a step of the price list, in points where it is one of shares."""
    return _gain(step, "value") + ("" if step["of"] == "credit" else " points")


def gain_interval(step: Mapping[str, Any]) -> str:
    return f"[{_gain(step, 'low')}, {_gain(step, 'high')}]"


def limit(asked: Mapping[str, Any]) -> str:
    kind = "at_least" if asked.get("at_least") is not None else "at_most"
    return f"{named(kind)} {asked[kind]:g}{', worse end of the interval' if asked.get('on') == 'worse_end' else ''}"


def promise(cascade: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return {asked, found, verdict, held} of the measurement that a cascade's promise is about; None where nothing was promised or measured."""
    if not cascade or len(cascade["steps"]) < 2:
        return None
    agreement = cascade["keep"] == "agreement"
    name = "agreement_with_reference" if agreement else "credit_lost"
    found = next((m for m in cascade["test"] if m["name"] == name), None)
    if found is None or cascade.get("promise") is None:
        return None
    bound, value, worse = cascade["promise"], found["value"], found.get("low" if agreement else "high")
    held, surely = ((x >= bound if agreement else x <= bound) if x is not None else False for x in (value, worse))
    verdict = "Held on the test rows, the whole interval too." if held and surely else "Held on the test rows; the interval reaches beyond it."
    return {"asked": promised(cascade), "found": found, "held": held, "verdict": verdict if held else "Not held on the test rows."}


def promised(asked: Mapping[str, Any]) -> str:
    """Return what a cascade, or an offer of one, promises."""
    if asked["keep"] == "agreement":
        return f"at least {share(asked['promise'])} agreement with the reference"
    return f"at most {asked['promise'] * 100:.3g} points of credit less than the reference"


def mistakes(confusion: Mapping[str, Any] | None, most: int) -> list[dict[str, Any]]:
    """Return the most frequent cells off the diagonal: {true, answered, n, share of the true label}."""
    if not confusion:
        return []
    labels = confusion["labels"]
    found = [
        {"true": labels[t], "answered": labels[g], "n": n, "share": n / sum(row)}
        for t, row in enumerate(confusion["counts"])
        for g, n in enumerate(row)
        if n and t != g
    ]
    return sorted(found, key=lambda cell: -int(cell["n"]))[:most]


def estimated(cost: Mapping[str, Any], scale: float = 1.0) -> str:
    """Return "estimated 12 [8, 20]" of a cost of learning; "not estimated" where it was not."""
    if cost["estimate"] is None:
        return "not estimated"
    ends = "" if cost["low"] is None or cost["high"] is None else f" [{amount(cost['low'] * scale, 2)}, {amount(cost['high'] * scale, 2)}]"
    return f"estimated {amount(cost['estimate'] * scale)}{ends}"


def off(cost: Mapping[str, Any]) -> str:
    """Return by how much an estimate was off, "took 12% more"; empty where one side is not known."""
    if not cost["estimate"] or cost["actual"] is None:
        return ""
    ratio = cost["actual"] / cost["estimate"]
    if ratio >= 2:
        return f"{amount(ratio, 2)} times as much"
    return "as estimated" if round(abs(ratio - 1), 2) == 0 else f"{abs(ratio - 1):.0%} {'more' if ratio > 1 else 'less'}"


def credit_of(report: Mapping[str, Any], name: str) -> float | None:
    """Return the mean credit of an entry on all test rows, where a step of the price list or its first measure tells it."""
    for step in report.get("prices") or []:
        for end in ("from", "to"):
            if step[end] == name:
                return float(step["gain"][end])
    entry = next((e for e in report["leaderboard"] if e["tier"] == name), None)
    accuracy = figure(entry, "accuracy") if entry else None
    return None if accuracy is None else float(accuracy["value"])


def _gain(step: Mapping[str, Any], end: str) -> str:
    scale, places = (1.0, 3) if step["of"] == "credit" else (100.0, 1)
    return f"{step['gain'][end] * scale:+.{places}f}".replace("-", "−")


def _plain(value: float) -> str:
    return f"{value:.3f}" if 0.001 <= abs(value) < 1 else amount(value, 4)


def _signed(value: float) -> str:
    return f"+{amount(value)}" if value >= 1e-4 else amount(value).replace("-", "−")
