"""The report of a run: every measurement in one place, and what they say in words. Judges nothing by limits.

`report.json`, format 2 (its JSON Schema: stages/report/penjing.report.schema.json). m is a core.types.Measurement as a mapping.

    format, task, target, columns, counts: {split: rows}, dropped: {reason: rows}, baseline: [m]
    leaderboard: [{tier, kind: "tier" | "reference" | "cascade", of: [tiers], seconds_to_learn, energy_to_learn: core.energy.Energy,
                   validation: [m], parity: [m], measurements: [m]}], cheapest first
    reliability: {TIER: {method, before: R, after: R}}, R = {log_loss, brier, ece, bins: [{low, high, n, confidence, right}]}
    cascade: null | {keep, promise, confidence, reference: [tiers], why, calibration_rows, needed_rows,
                     steps: [{tiers, answers, method, threshold, share}], test: [m],
                     curve: [{share_cheap, agreement, credit, certified, seconds_per_1000}],
                     offers: [what other promises would give]}
    prices: [steps of stages/evaluate/prices.py]
    confusion: null | {labels, counts: [[true by predicted]]}, slices: [{column, value, n, measurement: m}]
    learning: {TIER: how it learnt, and the estimate beside what it cost: stages/report/learning.py}; optional
    gates: [{name, limit: {at_least | at_most, on}, value, low, high, holds, by}], override: null | {by, reason}
    serves, recommends: sentence, says: [sentences], warnings: [sentences]
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FORMAT = 2
Entry = Mapping[str, Any]
"""One line of the leaderboard."""
Step = Mapping[str, Any]
"""One step of the price list."""
STEPS = ("climb", "blend", "cascade")
"""Kinds of step that the price list shows; the others are only compared."""
Limits = Mapping[str, Mapping[str, Any]]
"""Measurement → {"at_least" or "at_most": value, "on": "value" or "worse_end"}."""


def figure(entry: Entry, name: str) -> dict[str, Any] | None:
    """Return the measurement called `name` of one line of the leaderboard."""
    return next((m for m in entry["measurements"] if m["name"] == name), None)


def best(leaderboard: Sequence[Entry]) -> str:
    """Return the entry that did best on the validation rows; among equals the first, which is the cheapest.

    Without validation rows it is the last tier: chosen by design, since to choose on test rows would spoil their figures.
    """
    judged = [entry for entry in leaderboard if entry.get("validation")]
    if not judged:
        return str([entry for entry in leaderboard if entry.get("kind", "tier") == "tier"][-1]["tier"])
    return str(max(judged, key=lambda entry: _oriented(entry["validation"][0]))["tier"])


def comparisons(prices: Sequence[Step]) -> list[str]:
    """Return one sentence for each step of the price list: what was won or lost on the same test rows, and whether that is proved."""
    verdicts = {"better": "won", "worse": "lost", None: "nothing is proved to be won or lost"}
    sentences = []
    for step in prices:
        if step.get("kind") in STEPS:
            gain = step["gain"]
            totals = f"{step['from']} → {step['to']}: {step['of']} {gain['from']:.3f} → {gain['to']:.3f}"
            p = "p < 0.001" if gain["p"] < 0.001 else f"p = {gain['p']:.2g}"
            sentences.append(f"{totals}: {gained(step)}, {p}, paired on {gain['n']:,} test rows: {verdicts[gain['proven']]}.")
    return sentences


def gained(step: Step) -> str:
    """Return the gain of a step with its interval, as people write it: "+2.3 points (95 % interval 0.5 to 4.1)"."""
    gain, (scale, places, unit) = step["gain"], _scale(step)
    low, high = (_signed(gain[end] * scale, places).removeprefix("+") for end in ("low", "high"))
    return f"{_signed(gain['value'] * scale, places)}{unit} (95 % interval {low} to {high})"


def recommendation(report: Mapping[str, Any], limits: Limits | None = None) -> str:
    """Return one sentence: what to serve and why, with its figures.

    The line of the leaderboard that answers fastest is left only for one that is proven better on the same rows; a cascade is preferred to
    what it stands in for where it answers faster and is not proven worse, or is what the run serves by its promise. Lines that break one of
    the user's `limits` are left out.
    """
    broken = [gate for gate in report.get("gates") or [] if not gate["holds"]]
    override = report.get("override")
    if broken and not override:
        return f"Do not serve this yet: {'; '.join(_broken(gate) for gate in broken)}."
    outside = {str(e["tier"]): why for e in report["leaderboard"] if (why := _outside(e, limits or {}))}
    inside = [entry for entry in report["leaderboard"] if entry["tier"] not in outside]
    if not inside:
        return f"Nothing here keeps the limits: {'; '.join(f'{name} has {why}' for name, why in outside.items())}."
    said = _advice(report, inside)
    if outside:
        said += f" (left out: {'; '.join(f'{name} has {why}' for name, why in outside.items())})"
    if broken and override:
        said += f"; {override['by']} released it although {'; '.join(_broken(gate) for gate in broken)}: {override['reason']}"
    return f"{said}."


def _advice(report: Mapping[str, Any], inside: Sequence[Entry]) -> str:
    """Return the sentence for the entries `inside` the limits, without its full stop."""
    steps = {(s["from"], s["to"]): s for step in report.get("prices") or [] for s in (_reversed(step), step)}
    inside = sorted(inside, key=_cost)
    alone = [str(e["tier"]) for e in inside if e.get("kind", "tier") != "cascade"]
    cascade = next((str(e["tier"]) for e in inside if e.get("kind") == "cascade"), None)
    climbed = list(_climb(alone, steps))
    chosen = climbed[-1] if climbed else str(cascade)
    if cascade and alone and _pays(steps.get((chosen, cascade)), dear=chosen != alone[0], served=report["serves"] == cascade):
        return _by_cascade(report, chosen, steps[chosen, cascade])
    dearer = [steps[chosen, str(e["tier"])] for e in inside if (chosen, e["tier"]) in steps and e["tier"] not in climbed]
    if len(inside) == 1:
        return f"Serve {chosen}: {_standing(inside[0])}"
    said = f"The {chosen} tier is enough: {_unproven(dearer)}" if chosen == alone[0] else _climbed(steps[climbed[-2], chosen], dearer)
    if report["serves"] != chosen:
        said += f"; as it stands {report['serves']} answers, and pack.tier={chosen} changes that"
    return said


def _cost(entry: Entry) -> float:
    """Return what to order entries by: the time of an answer, where a quarter more or less is the same and the leaderboard's order counts."""
    rate = figure(entry, "predictions_per_second")
    return -round(math.log(rate["value"], 1.25)) if rate and rate["value"] else math.inf


def _reversed(step: Step) -> Step:
    """Return the step from `to` to `from`."""

    def turned(cost: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if cost is None else {"from": cost["to"], "to": cost["from"], "more": -cost["more"], "low": -cost["high"], "high": -cost["low"]}

    gain = step["gain"]
    ends = {"value": -gain["value"], "low": -gain["high"], "high": -gain["low"], "from": gain["to"], "to": gain["from"]}
    proven = {"better": "worse", "worse": "better", None: None}[gain["proven"]]
    costs = {name: {key: turned(cost) for key, cost in step[name].items()} for name in ("training", "per_1000")}
    return {**step, "from": step["to"], "to": step["from"], "gain": {**gain, **ends, "proven": proven}, **costs}


def _climb(names: Sequence[str], steps: Mapping[tuple[str, str], Step]) -> Iterator[str]:
    """Yield the first name and then each one that is proven better than the one before it in this climb."""
    at = None
    for name in names:
        if at is None or (steps.get((at, name)) or {"gain": {"proven": None}})["gain"]["proven"] == "better":
            at = name
            yield name


def _pays(step: Step | None, dear: bool, served: bool) -> bool:
    """Return whether the cascade is the better choice; `step`: from what it would replace, `dear`: that is not the cheapest already."""
    if step is None:
        return False
    if step["gain"]["proven"] == "better":
        return True
    return dear and (served or (step["gain"]["proven"] is None and (_slower(step) or 1.0) < 1.0))


def _by_cascade(report: Mapping[str, Any], chosen: str, step: Step) -> str:
    shares = (report.get("cascade") or {}).get("steps") or []
    does = f"{' + '.join(shares[0]['tiers'])} answers {shares[0]['share']:.0%} of the rows by itself" if shares else "cheap tiers answer first"
    slower = _slower(step)
    speed = "" if slower is None else f", which is {_times(slower)} as {chosen}"
    outcome = {"better": "and proven better", "worse": "at a loss", None: "at no proven loss"}[step["gain"]["proven"]]
    return f"Serve the cascade: {does}{speed}, {outcome}: {_figures(step)}"


def _unproven(dearer: Sequence[Step]) -> str:
    if not dearer:
        return "nothing dearer was compared with it"
    step = max(dearer, key=lambda s: float(s["gain"]["value"]))
    slower = _slower(step)
    cost = "" if slower is None else f", {_times(slower)}"
    return f"on {step['gain']['n']:,} test rows nothing dearer is proven better ({step['to']} comes nearest: {_figures(step)}{cost})"


def _climbed(step: Step, dearer: Sequence[Step]) -> str:
    slower, learning = _slower(step), step["training"]["seconds"]
    costs = [_times(slower)] if slower is not None else []
    costs += [f"learnt in {learning['to']:,.0f} s instead of {learning['from']:,.0f} s"] if learning else []
    price = f"; it is {' and '.join(costs)}" if costs else ""
    last = ", and nothing dearer is proven better still" if dearer else ""
    return f"Serve {step['to']}: it is proven better than {step['from']}, {_figures(step)}{price}{last}"


def _standing(entry: Entry) -> str:
    first = entry["measurements"][0]
    interval = "" if first.get("low") is None else f" (95 % interval {first['low']:.3f} to {first['high']:.3f})"
    measured = f"{first['name'].replace('_', '-')} is {first['value']:.3f}{interval} on {first['n']:,} test rows"
    return f"there is nothing to choose it against, and its {measured}"


def _figures(step: Step) -> str:
    return f"{step['of'].replace('_', ' ')} {step['gain']['to']:.3f} against {step['gain']['from']:.3f}, {gained(step)}"


def _times(slower: float) -> str:
    """Return how the time of an answer compares: "3.4 times as fast"."""
    return f"{1 / slower:.3g} times as fast" if slower < 1 else f"{slower:.3g} times as slow"


def _slower(step: Step) -> float | None:
    """Return how many times the seconds of an answer a step takes."""
    seconds = step["per_1000"]["seconds"]
    return seconds["to"] / seconds["from"] if seconds and seconds["from"] else None


def _broken(gate: Mapping[str, Any]) -> str:
    limit = _words(gate["limit"])
    return f"{gate['name']} is {'unmeasured' if gate['value'] is None else format(gate['value'], '.4g')}, and the limit is {limit}"


def _words(limit: Mapping[str, Any]) -> str:
    kind = "at_least" if limit.get("at_least") is not None else "at_most"
    return f"{kind.replace('_', ' ')} {limit[kind]:g}{' at the worse end of the interval' if limit.get('on') == 'worse_end' else ''}"


def _outside(entry: Entry, limits: Limits) -> str:
    """Return which of the `limits` the entry breaks, in words; empty where it breaks none. What is not measured breaks none here."""
    return "; ".join(f"{name} {m['value']:.4g}, {_words(x)} asked" for name, x in limits.items() if (m := figure(entry, name)) and not _keeps(m, x))


def _keeps(measured: Mapping[str, Any], limit: Mapping[str, Any]) -> bool:
    least, worse = limit.get("at_least"), limit.get("on") == "worse_end"
    end = measured.get("low" if least is not None else "high") if worse else None
    value = measured["value"] if end is None else end
    return bool(value >= least if least is not None else value <= limit["at_most"])


def _scale(step: Step) -> tuple[float, int, str]:
    """Return what to multiply a gain by, its decimal places and its unit: points for shares, and none for other credit."""
    return (1.0, 3, "") if step["of"] == "credit" else (100.0, 1, " points")


def _signed(value: float, places: int) -> str:
    text = f"{value:+.{places}f}"
    return f"{0:.{places}f}" if not float(text) else text.replace("-", "−")


def _oriented(measurement: Mapping[str, Any]) -> float:
    value = float(measurement["value"])
    return value if measurement["better"] == "higher" else -value
