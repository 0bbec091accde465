"""A report → Vega-Lite specifications of its charts. Knows the report's shape; not the page they stand on.

Colours are CSS variables of the page, so that one drawing serves light, dark and paper. Every chart has a description, which is read out where
it cannot be seen. Values are inline: nothing is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from penjing.core.report import STEPS, figure

Spec = dict[str, Any]
_CATEGORIES = ["var(--c1)", "var(--c2)", "var(--c3)"]
_KINDS = {"tier": "tier", "reference": "blend", "cascade": "cascade"}
_SOFT: dict[str, Any] = {"labelColor": "var(--soft)", "titleColor": "var(--soft)", "titleFontWeight": "normal"}
_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {**_SOFT, "gridColor": "var(--line)", "domainColor": "var(--line)", "tickColor": "var(--line)", "labelFontSize": 12, "titleFontSize": 12},
    "legend": {**_SOFT, "orient": "top", "title": None, "labelFontSize": 12},
    "text": {"color": "var(--ink)", "fontSize": 12},
}
_MANY_LABELS = 30
"""Labels above which the axes of a confusion are not written on; a cell tells its own when pointed at."""


def curve(report: Mapping[str, Any]) -> Spec:
    """Return agreement and credit on the test rows against the share that the cheap tiers answer."""
    cascade = report["cascade"]
    points = [
        {"share": p["share_cheap"], "value": p[name], "what": what, "certified": "certified" if p["certified"] else "not certified"}
        for p in cascade["curve"]
        for name, what in (("agreement", "agrees with the reference"), ("credit", "credit (how right)"))
        if p.get(name) is not None
    ]
    base = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("share:Q", title="share of test rows answered by cheap tiers alone", axis=alt.Axis(format="%", tickCount=5)),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=_axis(points)),
        color=alt.Color("what:N", scale=alt.Scale(range=_CATEGORIES[:2])),
        tooltip=[alt.Tooltip("what:N"), alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("value:Q", format=".4f"), alt.Tooltip("certified:N")],
    )
    filled = base.transform_filter("datum.certified == 'certified'").mark_point(filled=True, size=60, opacity=1)
    layers = [base.mark_line(strokeWidth=2), base.mark_point(size=60, fill="var(--paper)", opacity=1), filled]
    served = 1 - cascade["steps"][-1]["share"] if cascade["steps"] else 0
    if served:
        layers.append(_rule("x", served))
    if cascade["keep"] == "agreement":
        layers.append(_rule("y", cascade["promise"]))
    described = f"Two lines over the share of rows that cheap tiers answer, {len(cascade['curve'])} settings; the figures stand in the table below."
    return _finished(alt.layer(*layers), described, 280)


def cost(report: Mapping[str, Any]) -> Spec:
    """Return the first measure of every entry, with its interval, against the seconds of a thousand answers."""
    name = report["leaderboard"][0]["measurements"][0]["name"]
    points = [
        {"entry": entry["tier"], "kind": _KINDS[entry.get("kind", "tier")], "seconds": 1000 / rate["value"], **_ends(measured)}
        for entry in report["leaderboard"]
        if (rate := figure(entry, "predictions_per_second")) and rate["value"] and (measured := figure(entry, name))
    ]
    kinds = {kind: colour for kind, colour in zip(_KINDS.values(), _CATEGORIES, strict=True) if any(p["kind"] == kind for p in points)}
    shown = alt.Scale(type="log", nice=True, padding=24)
    base = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("seconds:Q", title="seconds for 1,000 answers (log scale)", scale=shown, axis=alt.Axis(tickCount=5, format="~g")),
        color=alt.Color("kind:N", scale=alt.Scale(domain=list(kinds), range=list(kinds.values()))),
        tooltip=[
            alt.Tooltip("entry:N"),
            *(alt.Tooltip(f"{end}:Q", format=".4f") for end in ("value", "low", "high")),
            alt.Tooltip("seconds:Q", format=".3g"),
        ],
    )
    title = f"{name.replace('_', '-')} (95 % interval)"
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False), axis=_axis(points if name != "r2" else []))
    layers = [
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        base.mark_point(filled=True, size=90, opacity=1).encode(y=y),
        *_names(points),
    ]
    if any(step["of"] == name for step in report.get("prices") or [] if step["kind"] in STEPS):
        layers.insert(0, _path((report.get("cascade") or {}).get("curve") or []))
    return _finished(alt.layer(*layers), f"{name} of every tier against the seconds of its answers; the figures stand in the leaderboard below.", 300)


def reliability(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> Spec:
    """Return how often answers are right at each confidence, before and after calibration; perfect is the diagonal."""
    points = [
        {"confidence": b["confidence"], "right": b["right"], "n": b["n"], "when": when}
        for when, side in (("before", before), ("after", after))
        for b in side["bins"]
        if b["n"]
    ]
    unit = alt.Scale(domain=[0, 1])
    base = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("confidence:Q", title="confidence", scale=unit, axis=alt.Axis(format="%", tickCount=5)),
        y=alt.Y("right:Q", title="share that is right", scale=unit, axis=alt.Axis(format="%", tickCount=5)),
        color=alt.Color("when:N", sort=["before", "after"], scale=alt.Scale(domain=["before", "after"], range=[_CATEGORIES[1], _CATEGORIES[0]])),
        tooltip=["when:N", alt.Tooltip("confidence:Q", format=".1%"), alt.Tooltip("right:Q", format=".1%"), "n:Q"],
    )
    ideal = alt.Chart(alt.Data(values=[{"x": 0, "y": 0}, {"x": 1, "y": 1}])).mark_line(strokeDash=[4, 4], color="var(--soft)", strokeWidth=1)
    sized = base.mark_point(filled=True, opacity=1).encode(size=alt.Size("n:Q", legend=None, scale=alt.Scale(range=[15, 120])))
    layers = alt.layer(ideal.encode(x="x:Q", y="y:Q"), base.mark_line(strokeWidth=2), sized)
    return _finished(layers, f"Confidence of {name} against how often it is right, before and after calibration.", 240)


def heat(confusion: Mapping[str, Any]) -> Spec:
    """Return the confusion as a map: the share of each true label (down) that was called each label (across)."""
    labels, cells = confusion["labels"], []
    for true, row in zip(labels, confusion["counts"], strict=True):
        cells += [{"true": true, "answered": said, "n": n, "share": n / sum(row)} for said, n in zip(labels, row, strict=True) if n]
    axis = alt.Axis(labels=len(labels) <= _MANY_LABELS, ticks=False, labelLimit=110, grid=False)
    chart = alt.Chart(alt.Data(values=cells)).mark_rect(color="var(--c1)")
    encoded = chart.encode(
        x=alt.X("answered:N", sort=labels, scale=alt.Scale(domain=labels), axis=axis, title="answered"),
        y=alt.Y("true:N", sort=labels, scale=alt.Scale(domain=labels), axis=axis, title="true"),
        fillOpacity=alt.FillOpacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 1]), legend=None),
        tooltip=["true:N", "answered:N", "n:Q", alt.Tooltip("share:Q", format=".1%")],
    )
    return _finished(
        encoded, f"Confusion of {len(labels)} labels; the most frequent mistakes stand in the table below.", min(640, max(320, 16 * len(labels)))
    )


def by_value(found: Sequence[Mapping[str, Any]], whole: float | None) -> Spec:
    """Return the credit of each value of one column with its interval, and that of all rows as a line."""
    points = [{"slice": s["value"], "n": s["n"], **_ends(s["measurement"])} for s in found]
    base = alt.Chart(alt.Data(values=points)).encode(
        y=alt.Y("slice:N", title=None, sort=None, axis=alt.Axis(labelLimit=120, grid=False)),
        tooltip=["slice:N", "n:Q", *(alt.Tooltip(f"{end}:Q", format=".3f") for end in ("value", "low", "high"))],
    )
    title = "credit (95 % interval)"
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=False), axis=_axis(points))
    layers = [
        base.mark_rule(color="var(--c1)", strokeWidth=2).encode(x=alt.X("low:Q", title=title), x2="high:Q"),
        base.mark_point(filled=True, size=70, color="var(--c1)", opacity=1).encode(x=x),
    ]
    if whole is not None:
        layers.append(_rule("x", whole))
    return _finished(
        alt.layer(*layers), f"Credit for each value of {found[0]['column']}; the figures stand in the table below.", 36 + 26 * len(points)
    )


def losses(curve: Mapping[str, Any], named: str) -> Spec:
    """Return the losses of one learning (learning.py) over its steps: of the training rows, and of the validation rows at the end of each epoch."""
    points = [
        {"step": p["step"], "epoch": p["epoch"], "loss": p["loss"], "rows": rows, "quality": p.get("quality")}
        for rows in ("training", "validation")
        for p in curve[rows]
    ]
    base = alt.Chart(alt.Data(values=points)).encode(
        x=_steps(),
        y=alt.Y("loss:Q", title="loss", scale=alt.Scale(zero=False), axis=alt.Axis(format="~g", tickCount=5)),
        color=alt.Color("rows:N", scale=alt.Scale(domain=["training", "validation"], range=_CATEGORIES[:2])),
        tooltip=[
            "rows:N",
            "step:Q",
            alt.Tooltip("epoch:Q", format=".2f"),
            alt.Tooltip("loss:Q", format=".4f"),
            alt.Tooltip("quality:Q", format=".3f"),
        ],
    )
    marked = base.transform_filter(f"datum.rows == 'validation' || {len(curve['training'])} == 1").mark_point(filled=True, size=45, opacity=1)
    described = f"Loss of the training and the validation rows over the steps of {named}; the figures stand in the table below."
    return _finished(alt.layer(base.mark_line(strokeWidth=2), marked), described, 200)


def rates(curve: Mapping[str, Any], named: str) -> Spec:
    """Return the learning rate of one learning over its steps."""
    points = [{"step": p["step"], "epoch": p["epoch"], "rate": p["rate"]} for p in curve["training"]]
    base = alt.Chart(alt.Data(values=points)).encode(
        x=_steps(),
        y=alt.Y("rate:Q", title="learning rate", scale=alt.Scale(zero=True), axis=alt.Axis(format="~g", tickCount=5)),
        tooltip=["step:Q", alt.Tooltip("epoch:Q", format=".2f"), alt.Tooltip("rate:Q", format=".3g")],
    )
    line = base.mark_line(strokeWidth=2, color="var(--c3)", point={"filled": True, "color": "var(--c3)"} if len(points) == 1 else False)
    return _finished(line, f"Learning rate over the steps of {named}; the figures stand in the table below.", 200)


def _steps() -> alt.X:
    return alt.X("step:Q", title="step", axis=alt.Axis(format="~s", tickCount=5))


def _names(points: Sequence[Mapping[str, Any]]) -> list[alt.Chart]:
    """Return the entries' names: above each point and towards the middle; beside a cascade, whose reference stands as high."""
    if not points:
        return []
    ends = [math.log(f(p["seconds"] for p in points)) for f in (min, max)]
    layers = []
    for point in points:
        left = math.log(point["seconds"]) <= sum(ends) / 2
        beside, inward = point["kind"] == "cascade", 8 if left else -8
        place = {"dx": inward, "baseline": "middle"} if beside else {"dx": -inward, "dy": -8, "baseline": "bottom"}
        text = alt.Chart(alt.Data(values=[point])).mark_text(align="left" if left else "right", limit=170, **place)
        y = alt.Y("value:Q" if beside else "high:Q")
        layers.append(text.encode(x="seconds:Q", y=y, text="entry:N", color=alt.value("var(--ink)")))
    return layers


def _path(points: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Return the settings of the cascade as a line under the entries."""
    values = [{"seconds": p["seconds_per_1000"], "value": p["credit"], "i": i} for i, p in enumerate(points) if p.get("seconds_per_1000")]
    line = alt.Chart(alt.Data(values=values)).mark_line(color="var(--c3)", strokeWidth=1.5, strokeDash=[2, 3])
    return line.encode(x="seconds:Q", y=alt.Y("value:Q"), order="i:Q")


def _rule(channel: str, at: float) -> alt.Chart:
    rule = alt.Chart(alt.Data(values=[{"at": at}])).mark_rule(strokeDash=[5, 4], color="var(--soft)")
    return rule.encode(**{channel: alt.X("at:Q") if channel == "x" else alt.Y("at:Q")})


def _ends(measured: Mapping[str, Any]) -> dict[str, float]:
    """Return value, low and high, the value itself where there is no interval."""
    return {end: measured["value"] if measured.get(end) is None else measured[end] for end in ("value", "low", "high")}


def _axis(points: Sequence[Mapping[str, Any]]) -> alt.Axis:
    """Return an axis in per cent where all values are shares, else in plain numbers."""
    shares = bool(points) and all(0 <= point["value"] <= 1 for point in points)
    return alt.Axis(format="~%" if shares else "~g", tickCount=6)


def _finished(chart: Any, described: str, height: int) -> Spec:
    chart = chart.properties(width="container", height=height, description=described, autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    spec: Spec = chart.to_dict()
    del spec["$schema"]  # an address, though nothing is loaded from it
    spec["config"] = _CONFIG
    return spec
