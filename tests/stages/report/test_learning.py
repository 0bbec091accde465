"""How tiers learnt stands in the report as it was told: from the files of the run to the page."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from penjing.core.curve import Point, Recorder
from penjing.core.files import write_json
from penjing.stages.report.learning import learning, lines
from penjing.stages.report.page import render, schema

BESIDE = {
    "tier": "transformer-full",
    "probed": True,
    "stopped": None,
    "seconds": {"estimate": 60.0, "low": 40.0, "high": 90.0, "actual": 67.5, "ratio": 0.9},
    "memory_bytes": {"estimate": 8e8, "low": 6e8, "high": 1e9, "actual": 9e8, "ratio": 0.9},
    "joules": {"estimate": 540.0, "low": 360.0, "high": 810.0, "actual": None, "ratio": None},
}


def point(step: int, of: int = 400) -> Point:
    """Return a point of a learning of `of` steps in 4 epochs, in which the validation rows are asked every `of / 4` steps."""
    ends = step % (of // 4) == 0
    judged = (1 / (1 + step / of), 0.5 + step / of / 4) if ends else (None, None)
    return Point(step, 4 * step / of, step / 10, 2 / (1 + 8 * step / of), 1e-4 * (1 - step / of), 32, 3000, 1e9, *judged, 2.0 * step, of, 4, 1e12)


def written(folder: Path, curves: dict[str, list[Point]], memory: float | None = 9e8) -> Path:
    """Return the folder of a learnt tier."""
    measured = folder / "measured"
    measured.mkdir(parents=True)
    recorder = Recorder(measured / "curve.jsonl")
    for name, points in curves.items():
        for one in points:
            recorder(name, one)
    told = {"seconds": 66.0, "energy": {"joules": 720.0, "low": 500.0, "high": 900.0, "method": "", "measured": False}}
    write_json(measured / "training.json", told | ({"memory_bytes": memory} if memory else {}))
    return folder


@pytest.fixture
def told(tmp_path: Path) -> dict[str, Any]:
    """What is told of two tiers, one of which descended and was estimated."""
    net = written(tmp_path / "net", {"head": [point(step) for step in (300, 350)], "fine-tuning": [point(step) for step in range(5, 401, 5)]})
    return learning({"linear": written(tmp_path / "linear", {}, None), "transformer-full": net}, [BESIDE])


class Text(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.skipped, self.words = 0, list[str]()
        self.labels: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.skipped += tag in ("script", "style")
        self.labels += [str(dict(attrs)["aria-label"])] if dict(attrs).get("role") == "img" else []

    def handle_endtag(self, tag: str) -> None:
        self.skipped -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.words.append(data)


def text(html: str) -> str:
    return " ".join(" ".join(Text(html).words).split())


def test_an_estimate_stands_beside_what_it_came_to(told: dict[str, Any], full: Any) -> None:
    assert told["transformer-full"]["costs"] == {
        "seconds": {"estimate": 60.0, "low": 40.0, "high": 90.0, "actual": 67.5},
        "memory_bytes": {"estimate": 8e8, "low": 6e8, "high": 1e9, "actual": 9e8},
        "joules": {"estimate": 540.0, "low": 360.0, "high": 810.0, "actual": 720.0},
    }
    page = text(render(full | {"learning": told}))
    assert "transformer-full after a trial 67.5 estimated 60 [40, 90] 12% more 900 estimated 800 [600, 1,000] 12% more" in page
    assert "0.2 estimated 0.15 [0.1, 0.23] 33% more" in page
    assert "stopped early" not in page
    told["transformer-full"]["stopped"] = "its time (60 s) is used up"
    assert "transformer-full stopped early with the best it had: its time (60 s) is used up." in text(render(full | {"learning": told}))
    assert "linear 66 not estimated – not estimated 0.2 not estimated" in page


def test_curves_are_told_as_they_were(told: dict[str, Any]) -> None:
    assert told["linear"]["curves"] == []
    head, tuned = told["transformer-full"]["curves"]
    assert (head["name"], tuned["name"]) == ("head", "fine-tuning")
    assert [p["step"] for p in tuned["training"]] == list(range(5, 401, 5))
    assert tuned["training"][0] == {"step": 5, "epoch": 0.05, "seconds": 0.5, "loss": 1.8182, "rate": 9.875e-05}
    assert [(p["step"], p["loss"], p["quality"]) for p in tuned["validation"]] == [
        (100, 0.8, 0.5625),
        (200, 0.66667, 0.625),
        (300, 0.57143, 0.6875),
        (400, 0.5, 0.75),
    ]


def test_a_long_curve_is_thinned_by_means_and_keeps_its_ends(tmp_path: Path) -> None:
    points = [point(step, 40_000) for step in range(20, 40_001, 20)]
    (curve,) = learning({"net": written(tmp_path / "net", {"a": points})})["net"]["curves"]
    assert 80 <= len(curve["training"]) <= 160
    assert curve["training"][-1]["step"] == 40_000
    assert curve["training"][0]["loss"] == pytest.approx(sum(p.loss for p in points[:13]) / 13, rel=1e-4)


def test_what_was_no_number_is_no_part_of_the_curve(tmp_path: Path) -> None:
    points = [point(1), Point(2, 0.1, 1.0, math.nan, 0.1, validation_loss=math.inf, quality=math.nan), Point(3, 0.2, 2.0, 1.0, 0.1, 8)]
    (curve,) = learning({"net": written(tmp_path / "net", {"a": points})})["net"]["curves"]
    assert [p["step"] for p in curve["training"]] == [1, 3]
    assert curve["validation"] == []
    assert [line["step"] for line in lines(curve)] == [1, 3]


def test_many_curves_are_counted_and_not_all_shown(tmp_path: Path, full: Any) -> None:
    told = learning({"net": written(tmp_path / "net", {f"trial {i}": [point(5)] for i in range(9)})})
    assert len(told["net"]["curves"]) + told["net"]["more"] == 9
    assert f"net has {told['net']['more']} more curves" in text(render(full | {"learning": told}))


def test_the_table_holds_the_ends_of_epochs(told: dict[str, Any]) -> None:
    found = lines(told["transformer-full"]["curves"][1])
    assert [(line["step"], line["validation"], line["training"]) for line in found] == [
        (100, 0.8, 0.66667),
        (200, 0.66667, 0.4),
        (300, 0.57143, 0.28571),
        (400, 0.5, 0.22222),
    ]
    assert lines({"training": [], "validation": []}) == []


def test_every_curve_is_drawn_described_and_has_its_figures_in_a_table(told: dict[str, Any], full: Any) -> None:
    html = render(full | {"learning": told})
    labels, page = Text(html).labels, text(html)
    for part in ("head", "fine-tuning"):
        assert f"Learning rate over the steps of transformer-full, {part}; the figures stand in the table below." in labels
        assert (
            f"Loss of the training and the validation rows over the steps of transformer-full, {part}; the figures stand in the table below."
            in labels
        )
    for name in ("loss-1-0", "rate-1-0", "loss-1-1", "rate-1-1"):
        assert f'data-chart="data-{name}"' in html and f'id="data-{name}"' in html
    assert "400 4 40 0.2222 0.5 0.75 0" in page
    assert page.index("Price list") < page.index("How each tier learnt") < page.index("Reliability")


def test_a_report_with_it_follows_the_schema_and_one_without_it_says_nothing(told: dict[str, Any], full: Any) -> None:
    jsonschema.validate(json.loads(json.dumps(full | {"learning": told}, allow_nan=False)), schema())
    told["linear"]["more"] = -1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(full | {"learning": told}, schema())
    assert "How each tier learnt" not in render(full)


def test_names_of_the_users_cannot_become_markup(tmp_path: Path, full: Any) -> None:
    evil = "</script><b>{{ 7*7 }}"
    told = learning({"net": written(tmp_path / "net", {evil: [point(100)]})})
    html = render(full | {"learning": told})
    assert "<b>" not in html and evil in text(html)
