"""The page holds everything it needs, escapes what is the user's, and is whole without scripts and for any report."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import jsonschema
import numpy as np
import pytest

from penjing.core.report import comparisons, recommendation
from penjing.stages.report.page import render, schema

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Reads a page: whether its elements close, what it would load, and its text outside of scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"{self.open} is not closed"

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "action", "srcset", "data") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)


def specs(html: str) -> dict[str, Any]:
    """Return the chart specifications of a page by the name of their place."""
    return {
        name: json.loads(text) for name, text in re.findall(r'<script type="application/json" id="data-([\w-]+)">(.*?)</script>', html, re.DOTALL)
    }


def scripts(html: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", html, re.DOTALL)


def test_the_recommendation_comes_first_and_what_it_was_made_from_last(full: Any) -> None:
    html = render(full)
    text = Page(html).text
    told = [full["recommends"], "Held on the test rows", "at least 0.75, worse end", "what is given up for speed", "Leaderboard", "Price list"]
    places = [text.index(part) for part in [*told, "Reliability", "Confusion", "Slices", "What it was made from"]]
    assert places == sorted(places)


def test_nothing_is_loaded_and_the_policy_lets_only_the_pages_own_script_run(full: Any) -> None:
    html = render(full)
    page = Page(html)
    assert page.loads == []
    assert not re.search(r"@import|url\(", html.split("<script")[0])
    (policy,) = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'; ")
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts(html)]
    assert len(hashes) == 1
    assert re.findall(r"'sha256-([^']+)'", str(policy)) == hashes
    assert "unsafe-eval" not in str(policy) and "script-src 'unsafe" not in str(policy)


def test_no_chart_names_an_address(full: Any) -> None:
    for spec in specs(render(full)).values():
        assert "http" not in json.dumps(spec)
        assert '"url"' not in json.dumps(spec)


def test_every_chart_has_its_place_its_description_and_its_figures_in_a_table(full: Any) -> None:
    html = render(full)
    page, drawn = Page(html), specs(html)
    places = {str(attrs["data-chart"]).removeprefix("data-") for tag, attrs in page.tags if tag == "figure"}
    assert places == drawn.keys() == {"curve", "cost", "reliability-0", "reliability-1", "slice-0", "slice-1"}
    labels = [attrs.get("aria-label") for tag, attrs in page.tags if attrs.get("role") == "img"]
    assert labels == [drawn[str(attrs["data-chart"]).removeprefix("data-")]["description"] for tag, attrs in page.tags if tag == "figure"]
    assert "96.78%" in page.text and "0.547" in page.text  # a setting of the curve, a log loss


def test_tables_have_captions_and_headings_go_down_by_one(full: Any) -> None:
    page = Page(render(full))
    tables = [i for i, (tag, _) in enumerate(page.tags) if tag == "table"]
    assert all(page.tags[i + 1][0] == "caption" for i in tables)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_what_the_user_named_cannot_become_markup(full: Any) -> None:
    evil = "</script><script>alert(1)</script><b>\"'&{{ 7*7 }}\u2028"
    text = json.dumps(full, ensure_ascii=False)
    for name in ('Insomnia <3 & \\"more\\"', "transformer-frozen", "condition", "review"):
        text = text.replace(name, json.dumps(evil, ensure_ascii=False)[1:-1])
    html = render(json.loads(text))
    page = Page(html)
    assert scripts(html) == scripts(render(full))
    assert "<b>" not in html.split("<script")[0]
    assert "alert(1)" in page.text and "{{ 7*7 }}" in page.text
    assert evil in json.dumps(specs(html), ensure_ascii=False).replace('\\"', '"')


def test_a_report_of_one_tier_without_anything_else_is_a_whole_page(sparse: Any) -> None:
    html = render(sparse)
    page = Page(html)
    assert specs(html).keys() == {"cost"}
    for told in (sparse["recommends"], "No cascade was made", "No limit was judged", "3.2 price"):
        assert told in page.text
    for absent in ("Price list", "Reliability", "Confusion", "Slices"):
        assert absent not in page.text


def test_only_what_must_be_there_must_be_there(sparse: Any) -> None:
    entry = {"tier": "linear", "measurements": [{"name": "accuracy", "value": 0.5, "n": 10}]}
    least = {key: sparse[key] for key in ("task", "target", "columns", "counts", "serves")} | {"leaderboard": [entry]}
    assert "No recommendation was made" in Page(render(least)).text


def test_a_hundred_labels_are_a_map_with_its_worst_mistakes_in_a_table(full: Any) -> None:
    labels = [f"label {i}" for i in range(100)]
    counts = np.diag(np.arange(100))
    counts[7, 9] = 500
    full["confusion"] = {"labels": labels, "counts": counts.tolist()}
    html = render(full)
    cells = specs(html)["confusion"]["data"]["values"]
    assert len(cells) == 100  # 99 right, one wrong; a label without rows has no cell
    assert "label 7 label 9 500" in Page(html).text
    assert 'class="cells"' not in html


@pytest.mark.parametrize(("size", "table"), [(2, True), (12, True), (13, False)])
def test_few_labels_are_a_table(full: Any, size: int, table: bool) -> None:
    full["confusion"] = {"labels": [f"l{i}" for i in range(size)], "counts": np.eye(size, dtype=int).tolist()}
    assert ('class="cells"' in render(full)) is table


def test_a_broken_limit_and_who_overruled_it_are_shown(full: Any) -> None:
    full["gates"][0] |= {"holds": False, "by": 0.03}
    full["gates"].append({"name": "fairness", "limit": {"at_most": 0.1}, "value": None, "low": None, "high": None, "holds": False, "by": None})
    assert recommendation(full).startswith("Do not serve this yet: accuracy")
    full["override"] = {"by": "Mei", "reason": "a pilot"}
    page = Page(render(full))
    assert "fairness at most 0.1 unmeasured no" in page.text
    assert "Overruled by Mei. The reason given: a pilot" in page.text
    assert any("closed" in str(attrs.get("class")) for _, attrs in page.tags)


def test_a_promise_that_does_not_hold_is_called_so(full: Any) -> None:
    measured = full["cascade"]["test"][0]
    measured |= {"value": 0.975, "low": 0.96, "high": 0.985}
    assert "Held on the test rows; the interval reaches beyond it." in Page(render(full)).text
    measured |= {"value": 0.95, "low": 0.94}
    assert "Not held on the test rows." in Page(render(full)).text
    full["cascade"] |= {"keep": "accuracy", "promise": 0.02}
    text = Page(render(full)).text
    assert "at most 2 points of credit less than the reference" in text
    assert "Held on the test rows, the whole interval too." in text


def test_a_reference_that_serves_alone_is_told_with_its_reason_and_without_a_verdict(full: Any) -> None:
    why = "40 calibration rows are too few: the promise needs 98."
    full["cascade"] |= {"why": why, "steps": full["cascade"]["steps"][1:], "curve": [], "offers": []}
    page = Page(render(full))
    assert why in page.text and "Held on the test rows" not in page.text


def test_the_page_is_the_same_whenever_it_is_drawn(full: Any) -> None:
    before = copy.deepcopy(full)
    assert render(full) == render(full)
    assert full == before


@pytest.mark.parametrize("name", ["full", "sparse"])
def test_a_report_follows_its_schema(name: str, request: pytest.FixtureRequest) -> None:
    report = request.getfixturevalue(name)
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(report, schema())
    for fault in ({"format": 1}, {"serves": None}, {"unknown": 1}, {"leaderboard": []}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(report | fault, schema())


def test_the_sentences_of_the_fixture_are_those_that_are_said_today(full: Any, sparse: Any) -> None:
    for report in (full, sparse):
        assert report["recommends"] == recommendation(report)
        assert report["says"] == comparisons(report["prices"])
