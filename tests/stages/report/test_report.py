"""What a real run measures becomes a report that follows its schema, and a page."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from penjing.core.files import read_json
from penjing.pipeline.config import read_config
from penjing.pipeline.run import run
from penjing.pipeline.start import signer
from penjing.security.keys import make_key
from penjing.stages.report.page import schema


@pytest.mark.parametrize("target", ["rating", "days"])
def test_the_report_of_a_run_follows_its_schema_and_is_drawn(tmp_path: Path, home: Path, target: str) -> None:
    make_key(home)
    good, bad = "works well and I feel better", "terrible pain and it made me sick"
    rows = [f"{good if i % 2 else bad} after {i} days,{'up' if i % 2 else 'down'},{'Berlin' if i % 3 else 'Wien'},{i / 7:.3f}" for i in range(240)]
    (tmp_path / "reviews.csv").write_text("\n".join(["review,rating,site,days", *rows]), encoding="utf-8")
    data = {"source": str(tmp_path / "reviews.csv"), "target": target, "columns": ["review"]}
    limits = {} if target == "rating" else {"release": {"r2": {"at_least": -9}, "mae": {"at_most": 99}, "baseline_r2": {"at_least": -9}}}
    run(read_config(None, (), {"data": data, "tiers": ["linear"], **limits}), tmp_path / "run", signer())
    report = read_json(tmp_path / "run" / "report" / "report.json")
    jsonschema.validate(report, schema())
    assert report["recommends"].startswith("Serve linear: ")
    page = (tmp_path / "run" / "report" / "report.html").read_text(encoding="utf-8")
    assert report["recommends"].split(":")[0] in page
    assert {found["column"] for found in report["slices"]} == ({"site"} if target == "rating" else {"site", "rating"})
    assert "Berlin" in page and "made me sick" not in page and "works well and I" not in page
