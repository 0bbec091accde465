"""How a cascade's promise does on test rows, which neither chose nor proved it, and what other promises would have given.

Shapes: B rows, W width of the output, T tiers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from penjing.core.cascade import Cascade, Predictors, output_of
from penjing.core.paired import paired
from penjing.core.protocols import Task
from penjing.core.statistics import exact_interval
from penjing.core.tier import Tier
from penjing.core.types import Measurement, NDArray, Row


class Promised:
    """A calibrated run's cascade on test rows, from what every tier said of them.

    said: (B, W) by tier; seconds: of a row, by tier; calibration: what stages/calibrate wrote.
    """

    def __init__(
        self,
        tiers: Mapping[str, Tier],
        calibration: Mapping[str, Any],
        predictors: Predictors,
        said: Mapping[str, NDArray],
        rows: Sequence[Row],
        seconds: Mapping[str, float],
    ) -> None:
        self.tiers, self.calibration, self.predictors, self.said, self.rows, self.seconds = tiers, calibration, predictors, said, rows, seconds
        self.task: Task = next(iter(tiers.values())).task
        self.output, _ = output_of(self.task)
        reference = Cascade.read(predictors.of("+".join(calibration["reference"])), tiers)
        self.reference_BW, _ = reference.from_said(said)

    def described(self) -> dict[str, Any]:
        """Return the report's `cascade` (core/report.py)."""
        found = self.calibration
        cascade = Cascade.read(found["cascade"], self.tiers)
        logits_BW, step_B = cascade.from_said(self.said)
        return {
            **{key: found[key] for key in ("keep", "confidence", "reference", "why")},
            "promise": found["limit"],
            "calibration_rows": found["rows"],
            "needed_rows": found["rows_needed"],
            "steps": [
                {
                    "tiers": list(step.tiers),
                    "answers": step.blend.name,
                    "method": step.blend.method,
                    "threshold": _threshold(step.thresholds),
                    "share": float((step_B == i).mean()),
                }
                for i, step in enumerate(cascade.steps)
            ],
            "curve": self._curve(found),
            "test": [asdict(m) for m in self._measured(logits_BW)],
            "offers": [self._offer(offer) for offer in found["offers"]],
        }

    def broken(self) -> list[str]:
        """Return a sentence where the test rows show that the promise is broken: a chance that was said to be small."""
        found = self.calibration
        if len(found["cascade"]["steps"]) == 1:
            return []
        logits_BW, _ = Cascade.read(found["cascade"], self.tiers).from_said(self.said)
        agreement, lost = self._measured(logits_BW)
        if found["keep"] == "agreement" and agreement.high is not None and agreement.high < found["limit"]:
            return [f"The cascade agrees with its reference on {agreement.value:.1%} of test rows; {found['limit']:.1%} were promised."]
        if found["keep"] == "accuracy" and lost.low is not None and lost.low > found["limit"]:
            return [f"The cascade loses {lost.value:.1%} of right answers on the test rows; at most {found['limit']:.1%} were promised."]
        return []

    def _measured(self, logits_BW: NDArray) -> list[Measurement]:
        same_B = self._agreeing(logits_BW)
        low, high = exact_interval(int(same_B.sum()), len(same_B))
        lost = paired(self._credit(self.reference_BW), self._credit(logits_BW))
        method = "exact binomial interval (Clopper–Pearson)"
        return [
            Measurement("agreement_with_reference", float(same_B.mean()), "", low, high, len(same_B), method),
            Measurement("credit_lost", lost.value, "", lost.low, lost.high, lost.n, lost.method, "lower"),
        ]

    def _curve(self, found: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return a point for every setting of the path, from the reference alone to the boldest."""
        points = []
        for i, setting in enumerate(found["settings"]):
            cascade = self._with(found, setting)
            logits_BW, step_B = cascade.from_said(self.said)
            points.append(
                {
                    "share_cheap": float((step_B < len(cascade.steps) - 1).mean()),
                    "agreement": float(self._agreeing(logits_BW).mean()),
                    "credit": float(self._credit(logits_BW).mean()),
                    "certified": i < found["certified"],
                    "seconds_per_1000": self._seconds(cascade, step_B),
                }
            )
        return points

    def _with(self, found: Mapping[str, Any], setting: Sequence[Sequence[float]]) -> Cascade:
        """Return the cascade of `found` with other thresholds."""
        steps = [
            {"tiers": found["order"][: i + 1], "blend": self._blend(found["order"][: i + 1]), "thresholds": list(thresholds)}
            for i, thresholds in enumerate(setting)
        ]
        last = {"tiers": found["order"], "blend": self._blend(found["reference"]), "thresholds": []}
        return Cascade.read({"name": "setting", "tiers": found["order"], "steps": [*steps, last]}, self.tiers)

    def _blend(self, tiers: Sequence[str]) -> Mapping[str, Any]:
        blend: Mapping[str, Any] = self.calibration["blends"]["+".join(tiers)]
        return blend

    def _offer(self, offer: Mapping[str, Any]) -> dict[str, Any]:
        """Return what another promise would give: on how many test rows it answers cheaply, and what that keeps."""
        cascade = Cascade.read(offer["cascade"], self.tiers)
        logits_BW, step_B = cascade.from_said(self.said)
        return {
            **{key: offer[key] for key in ("keep", "confidence")},
            "promise": offer["limit"],
            "certified": offer["certified"] > 0,
            "needed_rows": offer["rows_needed"],
            "share_cheap": float((step_B < len(cascade.steps) - 1).mean()),
            "seconds_per_1000": self._seconds(cascade, step_B),
            "test": [asdict(m) for m in self._measured(logits_BW)],
        }

    def _seconds(self, cascade: Cascade, step_B: NDArray) -> float:
        """Return the seconds for a thousand rows, from each tier's own speed; what goes on from an early exit takes the rest of its time."""
        total, before = 0.0, dict.fromkeys((tier.whole or name for name, tier in self.tiers.items()), 0.0)
        for name in cascade.tiers:
            first = next(i for i, step in enumerate(cascade.steps) if name in step.tiers)
            whole = self.tiers[name].whole or name
            more = max(self.seconds[name] - before[whole], 0.0)
            before[whole] = max(before[whole], self.seconds[name])
            total += float((step_B >= first).mean()) * more
        return 1000 * total

    def _agreeing(self, logits_BW: NDArray) -> NDArray:
        same: NDArray = self.task.agreement({self.output: logits_BW}, {self.output: self.reference_BW}) >= 1
        return same

    def _credit(self, logits_BW: NDArray) -> NDArray:
        return self.task.credit({self.output: logits_BW}, self.rows)


def _threshold(thresholds: NDArray) -> float | list[float] | None:
    if not len(thresholds):
        return None
    return float(thresholds[0]) if len(thresholds) == 1 else thresholds.tolist()
