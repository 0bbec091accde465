from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import Field

from penjing.core.config import Section, dump, load
from penjing.core.errors import ConfigError
from penjing.core.limits import Limit


class Config(Section):
    release: dict[str, Limit] = Field(default={})
    """Limits."""


def read(folder: Path, text: str) -> Config:
    path = folder / "penjing.yaml"
    path.write_text(text, encoding="utf-8")
    return load(Config, path)


def test_a_limit_is_at_least_or_at_most_on_the_value_or_the_worse_end(tmp_path: Path) -> None:
    config = read(tmp_path, "release:\n  accuracy: {at_least: 0.85}\n  p95_latency_ms: {at_most: 20, on: worse_end}\n")
    assert config.release == {"accuracy": Limit(at_least=0.85), "p95_latency_ms": Limit(at_most=20, on="worse_end")}
    assert config.release["p95_latency_ms"].on == "worse_end", "an unquoted `on` is `true` to a YAML 1.1 reader"
    assert str(config.release["accuracy"]) == "at least 0.85"


def test_a_limit_is_written_as_it_is_read(tmp_path: Path) -> None:
    config = Config(release={"accuracy": Limit(at_least=0.85), "size_bytes": Limit(at_most=1e6, on="worse_end")})
    assert yaml.safe_load(dump(config)) == {
        "release": {"accuracy": {"at_least": 0.85, "on": "value"}, "size_bytes": {"at_most": 1e6, "on": "worse_end"}}
    }
    assert read(tmp_path, dump(config)) == config


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{at_leest: 0.85}", r"line 3: release.accuracy .*no key 'at_leest' \(Did you mean 'at_least'\?\)"),
        ("{at_least: 0.85, at_most: 1}", "both at_least and at_most"),
        ("{}", "neither at_least nor at_most"),
        ("{on: value}", "neither at_least nor at_most"),
        ("{at_least: }", "at_least is empty"),
        ("0.85", "a limit is a mapping, such as"),
        ("{at_least: high}", "release.accuracy.at_least is 'high'"),
        ("{at_least: .nan}", "release.accuracy.at_least is nan"),
        ("{at_least: true}", "release.accuracy.at_least is True"),
        ("{at_least: 0.85, on: low}", "release.accuracy.on is 'low'"),
    ],
)
def test_a_limit_that_says_nothing_clear_is_refused_in_the_users_spelling(tmp_path: Path, written: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, f"release:\n  parity: {{at_least: 1}}\n  accuracy: {written}\n")


@pytest.mark.parametrize("written", ["{at_least: 0.85}", "{at_most: 1, 'on': worse_end}", "{}", "{at_least: 1, at_most: 2}", "{at_leest: 1}", "3"])
def test_the_schema_says_of_a_limit_what_the_config_says(tmp_path: Path, written: str) -> None:
    text = f"release: {{accuracy: {written}}}"
    valid = jsonschema.Draft202012Validator(Config.model_json_schema()).is_valid(yaml.safe_load(text))
    try:
        read(tmp_path, text)
    except ConfigError:
        assert not valid
    else:
        assert valid


def test_what_breaks_a_limit_and_by_how_much() -> None:
    assert Limit(at_least=0.85).short(0.80) == pytest.approx(0.05)
    assert Limit(at_most=20).short(25) == 5
    assert Limit(at_least=0.85).short(0.85) == 0
    assert Limit(at_most=20).short(float("nan")) > 0
