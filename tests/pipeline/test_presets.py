from __future__ import annotations

import os
from pathlib import Path

import pytest

from penjing.core.errors import BadRequest
from penjing.pipeline import presets
from penjing.pipeline.config import read_config
from penjing.pipeline.start import write_config

DATA = {"data": {"source": "loans.csv", "target": "outcome"}}


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_is_a_config_that_is_read_and_says_what_it_means(name: str) -> None:
    config = read_config(None, (), presets.laid_over(name, DATA))
    assert config.data.target == "outcome"
    assert config.release["calibration_error"].at_most is not None, "both demand that scores come true"
    assert presets.text(name).count("#") > 10


def test_the_two_kinds_of_work_are_what_they_are_called_for() -> None:
    loans = read_config(None, (), presets.laid_over("credit-risk", DATA))
    assert loans.task is not None
    assert loans.task.options["reasons"] == 4
    assert {tier.learner for tier in loans.tiers or ()} == {"tabular-linear", "boosted-trees"}
    scans = read_config(None, (), presets.laid_over("medical-images", DATA))
    assert scans.data.group == "patient"
    assert scans.cascade.keep == "agreement"


def test_what_the_user_says_goes_before_the_preset() -> None:
    asked = {"data": {**DATA["data"], "calibration": 0.3}, "tiers": ["tabular-linear"], "task": "tabular-regression"}
    config = read_config(None, (), presets.laid_over("credit-risk", asked))
    assert config.data.calibration == 0.3
    assert [tier.learner for tier in config.tiers or ()] == ["tabular-linear"]
    assert config.task is not None
    assert config.task.dump() == "tabular-regression"


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadRequest, match="Did you mean 'credit-risk'"):
        presets.laid_over("credit-risc", DATA)


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_is_written_out_to_be_read_and_changed(name: str, tmp_path: Path) -> None:
    source = tmp_path / "loans.csv"
    source.write_text("income,patient,outcome\n1,p,yes\n2,q,no\n")
    place = write_config(source, "outcome", tmp_path, name)
    written = place.read_text()
    for line in presets.text(name).splitlines():
        assert line in written, "comments and all"
    config = read_config(place)
    assert (config.data.source, config.data.target) == (os.fspath(source), "outcome")
    assert config.release == read_config(None, (), presets.laid_over(name, DATA)).release
