from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from penjing.core.errors import BadRequest, ConfigError, GateClosed
from penjing.core.limits import Limit
from penjing.core.types import Measurement
from penjing.plugins.tasks.multi_label_text_classification import MultiLabelTextClassification
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.plugins.tasks.text_regression import TextRegression
from penjing.stages.gate import Override, gate, held, insist, judge, known_measurements, refuse_unknown, told


def m(name: str, value: float, low: float | None = None, high: float | None = None, unit: str = "", better: Any = "higher") -> dict[str, Any]:
    return asdict(Measurement(name, value, unit, low, high, 200, "as given", better))


def handed(agreement: float = 1.0, difference: float = 1e-6, score: float = 0.0) -> list[dict[str, Any]]:
    return [
        m("parity", agreement, agreement - 0.01, 1),
        m("largest_difference", difference, unit="logits", better="lower"),
        m("score_difference", score, score - 0.01, score + 0.01),
    ]


def report(**changes: Any) -> dict[str, Any]:
    """A report in which every limit holds: a good tier, a better one that serves, and hand-overs of both."""
    dear = [m("accuracy", 0.88, 0.84, 0.91), m("p95_latency_ms", 12.0, unit="ms", better="lower")]
    return {
        "leaderboard": [
            {"tier": "linear", "kind": "tier", "measurements": [m("accuracy", 0.8, 0.75, 0.84)], "parity": handed(), "validation": []},
            {"tier": "dear", "kind": "tier", "measurements": dear, "parity": [*handed(), *handed()], "validation": []},
        ],
        "serves": "dear",
        "baseline": [m("baseline_accuracy", 0.5, 0.43, 0.57)],
        "leaks": [m("leaked_rows", 0, unit="rows", better="lower")],
        **changes,
    }


def verdict(name: str, **changes: Any) -> Any:
    (found,) = [v for v in judge(report(**changes), {}) if v.name == name]
    return found


def closed(changed: dict[str, Any], release: dict[str, Limit] | None = None) -> str:
    with pytest.raises(GateClosed) as error:
        gate(changed, release or {}, None)
    assert error.value.exit_code == 3
    return str(error.value)


def test_a_sound_report_passes_the_limits_that_stand_without_any_config() -> None:
    added = gate(report(), {}, None)
    assert [g["name"] for g in added["gates"]] == ["accuracy", "parity", "largest_difference", "score_difference", "leaked_rows"]
    assert all(g["holds"] and g["default"] and g["by"] is None for g in added["gates"])
    assert added["gates"][0] == {
        "name": "accuracy",
        "limit": {"at_least": 0.5, "on": "worse_end"},
        "value": 0.88,
        "low": 0.84,
        "high": 0.91,
        "holds": True,
        "by": None,
        "default": True,
    }
    assert added["override"] is None
    json.dumps(added, allow_nan=False)


def test_a_tier_that_is_not_proved_to_beat_the_best_constant_answer_is_not_packed() -> None:
    said = closed(report(baseline=[m("baseline_accuracy", 0.86)]))
    assert "accuracy is 0.88 [0.84, 0.91] on 200 rows, at its worse end 0.84: 0.02 below the default limit of at least 0.86." in said


def test_a_measure_that_is_better_low_must_stay_below_the_best_constant_answer() -> None:
    entry = {"tier": "one", "measurements": [m("mae", 3.0, 2.5, 3.5, "years", "lower")], "parity": handed()}
    changed = report(leaderboard=[entry], serves="one", baseline=[m("baseline_mae", 3.2, unit="years", better="lower")])
    assert "at its worse end 3.5: 0.3 years above the default limit of at most 3.2." in closed(changed)


def test_every_hand_over_of_every_tier_is_judged_and_the_worst_is_told() -> None:
    changed = report()
    changed["leaderboard"][0]["parity"] += handed(agreement=0.97, difference=0.2, score=-0.02)
    changed["leaderboard"][1]["parity"] += handed(agreement=0.99)
    said = closed(changed)
    assert said.startswith("3 limits do not hold")
    assert "parity is 0.97 [0.96, 1] on 200 rows: 0.025 below the default limit of at least 0.995." in said
    assert "largest_difference is 0.2 logits on 200 rows: 0.199 logits above the default limit of at most 0.001." in said
    assert "score_difference is -0.02" in said


def test_a_leaked_row_closes_the_gate() -> None:
    said = closed(report(leaks=[m("leaked_rows", 3, unit="rows", better="lower")]))
    assert "leaked_rows is 3 rows on 200 rows: 3 rows above the default limit of at most 0." in said


@pytest.mark.parametrize(
    ("changed", "name"),
    [({"leaks": []}, "leaked_rows"), ({"leaks": None}, "leaked_rows"), ({"baseline": []}, "baseline_accuracy")],
)
def test_what_is_unmeasured_does_not_hold(changed: dict[str, Any], name: str) -> None:
    assert f"{name} cannot be held to the default limit of at " in closed(report(**changed))


def test_without_test_rows_nothing_holds_that_needs_them() -> None:
    entry = {"tier": "one", "measurements": [], "validation": [m("accuracy", 0.9)], "parity": []}
    said = closed({"leaderboard": [entry], "serves": "one", "baseline": [], "leaks": []})
    assert said.startswith("5 limits do not hold")
    assert said.count("it is unmeasured") == 5


def test_a_limit_on_what_nothing_measures_offers_the_nearest_name() -> None:
    assert "acuracy cannot be held to the limit of at least 0.5: it is unmeasured. Did you mean 'accuracy'?" in closed(
        report(), {"acuracy": Limit(at_least=0.5)}
    )


def test_the_users_limits_are_judged_on_the_entry_that_serves() -> None:
    release = {"accuracy": Limit(at_least=0.85), "p95_latency_ms": Limit(at_most=20)}
    assert gate(report(), release, None)["gates"][0]["default"] is False
    said = closed(report(serves="linear"), release)
    assert "accuracy is 0.8 [0.75, 0.84] on 200 rows: 0.05 below the limit of at least 0.85." in said
    assert "p95_latency_ms cannot be held" in said, "the other entry's latency is not this one's"


def test_the_worse_end_is_judged_when_asked_for() -> None:
    assert judge(report(), {"accuracy": Limit(at_least=0.85)})[0].holds
    assert not judge(report(), {"accuracy": Limit(at_least=0.85, on="worse_end")})[0].holds
    assert judge(report(), {"accuracy": Limit(at_most=0.9)})[0].holds
    assert not judge(report(), {"accuracy": Limit(at_most=0.9, on="worse_end")})[0].holds


def test_the_worse_end_of_what_has_no_interval_does_not_hold() -> None:
    said = closed(report(), {"p95_latency_ms": Limit(at_most=20, on="worse_end")})
    assert "it has no interval to take the worse end of" in said


@pytest.mark.parametrize(
    ("name", "limit", "broken"),
    [
        ("accuracy", Limit(at_least=0.2), {"baseline": [m("baseline_accuracy", 0.99)]}),
        ("accuracy", Limit(at_least=0.2), {"baseline": []}),
        ("leaked_rows", Limit(at_most=5), {"leaks": [m("leaked_rows", 5)]}),
    ],
)
def test_a_users_limit_takes_the_place_of_the_default_and_the_report_says_so(name: str, limit: Limit, broken: dict[str, Any]) -> None:
    closed(report(**broken))
    gates = gate(report(**broken), {name: limit}, None)["gates"]
    assert [g["default"] for g in gates if g["name"] == name] == [False]


def test_a_limit_can_be_met_exactly() -> None:
    assert judge(report(), {"accuracy": Limit(at_least=0.88)})[0].holds


def test_a_cascade_that_serves_is_judged_on_its_own_figures_too() -> None:
    entry = {"tier": "cascade", "kind": "cascade", "of": ["linear", "dear"], "measurements": [m("accuracy", 0.9, 0.87, 0.93)], "parity": []}
    changed = report(serves="cascade", cascade={"test": [m("agreement_with_reference", 0.97, 0.95, 0.98)]})
    changed["leaderboard"].append(entry)
    assert gate(changed, {"agreement_with_reference": Limit(at_least=0.95, on="worse_end")}, None)
    assert "agreement_with_reference is 0.97" in closed(changed, {"agreement_with_reference": Limit(at_least=0.99)})


def test_an_override_lets_it_pass_and_stays_beside_the_broken_limits() -> None:
    override = Override.of("Ada", "the audit of May accepts it")
    added = gate(report(leaks=[m("leaked_rows", 3)]), {}, override)
    assert added["override"] == {"by": "Ada", "reason": "the audit of May accepts it"}
    assert [(g["name"], g["by"]) for g in added["gates"] if not g["holds"]] == [("leaked_rows", 3)]


def test_an_override_of_nothing_is_not_written_down() -> None:
    assert gate(report(), {}, Override("Ada", "to be sure"))["override"] is None


def test_the_report_can_be_written_before_the_gate_closes() -> None:
    verdicts = judge(report(leaks=[]), {})
    assert not all(g["holds"] for g in told(verdicts, None)["gates"])
    with pytest.raises(GateClosed, match="--override-by NAME --because REASON"):
        insist(verdicts, None)


@pytest.mark.parametrize("given", [("Ada", None), (None, "because"), ("Ada", ""), (" ", "because")])
def test_an_override_needs_a_name_and_a_reason(given: tuple[str | None, str | None]) -> None:
    with pytest.raises(BadRequest, match="needs a name and a reason"):
        Override.of(*given)
    assert Override.of(None, None) is None


def why(sentence: str | None) -> tuple[Callable[[], str | None], list[int]]:
    asked: list[int] = []

    def first() -> str | None:
        asked.append(1)
        return sentence

    return first, asked


def test_a_hand_over_that_holds_asks_for_no_cause() -> None:
    first, asked = why("nothing")
    assert [v.holds for v in held(handed(), "learnt → exported of tier 'x'", first, {})] == [True] * 3
    assert not asked


def test_a_hand_over_that_does_not_hold_says_where_what_and_why() -> None:
    first, _ = why("the labels 'a' and 'b' have changed places")
    with pytest.raises(GateClosed) as error:
        held(handed(0.4, 0.0, -0.3), "learnt → exported of tier 'x'", first, {})
    lines = str(error.value).splitlines()
    assert lines[0] == "Parity learnt → exported of tier 'x' does not hold."
    assert lines[1] == "First difference: the labels 'a' and 'b' have changed places."
    assert lines[2] == "- parity is 0.4 [0.39, 1] on 200 rows: 0.595 below the default limit of at least 0.995."
    assert lines[3].startswith("- score_difference is -0.3")
    assert "--override-by NAME --because REASON" in lines[4]


def test_a_difference_without_a_cause_is_told_as_rounding() -> None:
    with pytest.raises(GateClosed, match="nothing stands out, as where another runtime or precision rounds otherwise"):
        held(handed(difference=2e-3), "exported → packaged", why(None)[0], {})


def test_the_users_limits_and_an_override_hold_at_a_hand_over_too() -> None:
    first, asked = why("")
    assert held(handed(difference=2e-3), "x", first, {"largest_difference": Limit(at_most=0.01)})[1].default is False
    assert not all(v.holds for v in held(handed(0.1), "x", first, {}, Override("Ada", "known")))
    assert not asked
    with pytest.raises(GateClosed):
        held(handed(), "x", first, {"parity": Limit(at_least=1, on="worse_end")})


def test_a_hand_over_that_was_not_measured_does_not_hold() -> None:
    with pytest.raises(GateClosed, match="score_difference cannot be held to the default limit of at least -0.005: it is unmeasured"):
        held(handed()[:2], "x", why(None)[0], {})


@pytest.mark.parametrize(
    ("task", "rows", "scores"),
    [
        (TextClassification("y", ["text"], ["a", "b"]), [{"y": "a"}], {"accuracy", "macro_f1"}),
        (MultiLabelTextClassification("y", ["text"], ["a", "b"], ""), [{"y": ["a"]}], {"micro_f1", "macro_f1", "exact_match"}),
        (TextRegression("y", ["text"], 1.0, 2.0), [{"y": 1.0}], {"r2", "mae", "rmse"}),
    ],
)
def test_what_can_be_measured_is_known_before_anything_is_learnt(task: Any, rows: list[Any], scores: set[str]) -> None:
    known = known_measurements(task, rows)
    assert known > scores
    assert known > {"parity", "largest_difference", "score_difference", "leaked_rows", "size_bytes", "p95_latency_ms", "predictions_per_second"}
    (baseline,) = [name for name in known if name.startswith("baseline_")]
    assert baseline.removeprefix("baseline_") in scores


def test_a_limit_on_what_no_check_measures_is_refused_with_the_nearest_name() -> None:
    known = known_measurements(TextClassification("y", ["text"], ["a", "b"]), [{"y": "a"}])
    refuse_unknown({"accuracy": Limit(at_least=0.9)}, known)
    with pytest.raises(ConfigError, match=r"release.acuracy: nothing measures 'acuracy'. Did you mean 'accuracy'\?"):
        refuse_unknown({"acuracy": Limit(at_least=0.9)}, known)
    with pytest.raises(ConfigError, match=r"nothing measures 'fairness'. There is: accuracy, agreement_with_reference, baseline_accuracy"):
        refuse_unknown({"fairness": Limit(at_least=0.9)}, known)


def test_a_figure_that_is_no_number_does_not_hold() -> None:
    assert not judge(report(leaks=[m("leaked_rows", float(np.nan))]), {})[-1].holds
