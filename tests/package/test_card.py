"""The model card tells what was measured, and is read by Hugging Face."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import yaml

from penjing.package.card import card

REPORT = {
    "task": "text-classification",
    "target": "rating",
    "columns": ["review", "doctor's note"],
    "counts": {"train": 1200, "validation": 100, "test": 379},
    "leaderboard": [
        {
            "tier": "linear",
            "measurements": [
                {"name": "accuracy", "value": 0.81234, "unit": "", "low": 0.77, "high": 0.85, "n": 379},
                {"name": "macro_f1", "value": 0.7, "unit": "", "low": 0.65, "high": 0.75},
                {"name": "size_bytes", "value": 2_400_000.0, "unit": "B"},
                {"name": "predictions_per_second", "value": 34129.8, "unit": "1/s"},
            ],
            "p50_ms": 0.25,
        },
        {"tier": "transformer", "measurements": [{"name": "accuracy", "value": 0.83, "unit": "", "low": 0.79, "high": 0.87, "n": 379}]},
    ],
}


def front_matter(text: str) -> dict[str, object]:
    return yaml.safe_load(text.split("---\n")[1])


def test_the_metadata_names_task_licence_and_measured_figures() -> None:
    values = front_matter(card("reviews", "linear", REPORT, "mei (0123456789abcdef)"))
    assert values["license"] == "unknown"
    assert values["pipeline_tag"] == "text-classification"
    assert values["metrics"] == ["accuracy", "macro_f1"]
    assert values["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.8123
    assert front_matter(card("reviews", "linear", REPORT, license_name="apache-2.0"))["license"] == "apache-2.0"


def test_a_task_that_hugging_face_calls_otherwise_gets_its_name_there() -> None:
    assert front_matter(card("r", "linear", {**REPORT, "task": "text-regression"}))["pipeline_tag"] == "text-classification"


def test_the_leaderboard_shows_every_tier_with_its_interval() -> None:
    text = card("reviews", "linear", REPORT)
    assert "| tier | accuracy | macro_f1 | size_bytes | predictions_per_second | p50 ms |" in text
    assert "| **linear** (answers) | 0.8123 [0.77, 0.85] | 0.7 [0.65, 0.75] | 2.4 MB | 34,130 1/s | 0.25 |" in text
    assert "| transformer | 0.83 [0.79, 0.87] |  |  |  |  |" in text


def test_the_card_says_for_what_from_what_and_by_whom() -> None:
    text = card("reviews", "linear", {**REPORT, "limits": ["It reads English only."]}, "mei (0123456789abcdef)")
    for told in ("Predicts `rating` from `review`", "| train | 1,200 |", "Signed by mei (0123456789abcdef)", "- It reads English only."):
        assert told in text


def test_the_example_can_be_typed_into_a_shell_whatever_the_columns_are_called() -> None:
    text = card("reviews", "linear", REPORT)
    command = text.split("curl ")[1].split("```")[0].replace("\\\n", " ")
    assert yaml.safe_load(shlex.split(command)[-1]) == {"rows": [{"review": "…", "doctor's note": "…"}]}


def full() -> dict[str, Any]:
    report: dict[str, Any] = json.loads((Path(__file__).parents[1] / "stages" / "report" / "full.json").read_text(encoding="utf-8"))
    return report


def test_a_cascade_is_told_with_its_promise_its_shares_and_what_it_did() -> None:
    text = card("reviews", "cascade", full())
    assert "| **cascade** (answers) |" in text
    section = text.split("## Which tier answers what")[1].split("## ")[0]
    for told in (full()["cascade"]["why"], "- linear: 71% of the test rows", "- agreement with reference on the test rows: 0.9967 [0.9915, 0.9991]"):
        assert told in section


def test_a_reference_that_answers_alone_is_told_with_its_reason_only() -> None:
    report = full()
    report["cascade"] |= {"why": "Too few rows", "steps": report["cascade"]["steps"][1:]}
    assert card("reviews", "cascade", report).split("## Which tier answers what")[1].split("## ")[0].strip() == "Too few rows."


def test_the_recommendation_stands_before_the_table_and_the_paired_tests_after_it() -> None:
    results = card("reviews", "cascade", full()).split("## Results on test rows")[1].split("## ")[0]
    assert results.index(full()["recommends"]) < results.index("| tier |") < results.index(full()["says"][0])


def test_machine_figures_are_no_metrics_of_the_model() -> None:
    assert front_matter(card("reviews", "cascade", full()))["metrics"] == ["accuracy", "macro_f1"]


def test_every_limit_is_listed_and_an_override_with_its_name_and_reason() -> None:
    report = full()
    report["gates"][0] |= {"holds": False}
    report["gates"].append({"name": "fairness", "limit": {"at_most": 0.1, "on": "value"}, "value": None, "low": None, "high": None, "holds": False})
    report["override"] = {"by": "Mei <script>", "reason": "a pilot\nwith ten users"}
    text = card("reviews", "cascade", report)
    assert "| accuracy | at least 0.75 (worse end) | 0.9042 [0.8861, 0.9202] | **no** |" in text
    assert "| parity | at least 0.995 | 1 [0.986, 1] | yes |" in text
    assert "| fairness | at most 0.1 | unmeasured | **no** |" in text
    assert "**Overruled by Mei \\<script\\>**, who gave this reason: a pilot with ten users" in text


def test_a_report_without_cascade_and_gates_has_no_such_sections() -> None:
    text = card("reviews", "linear", REPORT)
    assert "## Which tier" not in text
    assert "## Limits it was judged by" not in text


def test_warnings_are_limits() -> None:
    assert f"- {full()['warnings'][0]}" in card("reviews", "cascade", full()).split("## Limits\n")[1]
