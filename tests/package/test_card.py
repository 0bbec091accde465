"""The model card tells what was measured, and is read by Hugging Face."""

from __future__ import annotations

import shlex

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
