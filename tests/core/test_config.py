from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from penjing.core.config import Section, dump, load
from penjing.core.errors import ConfigError


class Inner(Section):
    epochs: int = 3
    """How often."""
    kind: Literal["a", "b"] = "a"


class Outer(Section):
    train: Inner = Inner()
    names: list[str] | None = None


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "penjing.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_misspelt_key_is_answered_with_file_line_and_the_nearest_key(tmp_path: Path) -> None:
    path = written(tmp_path, "names: [x]\ntrain:\n  kind: b\n  epoch: 3\n")
    with pytest.raises(ConfigError, match=r"penjing.yaml, line 4: there is no key 'train.epoch'. Did you mean 'epochs'\?"):
        load(Outer, path)


def test_a_wrong_value_is_named_with_its_line_and_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2: train.kind is 'c': input should be 'a' or 'b'"):
        load(Outer, written(tmp_path, "train:\n  kind: c\n"))


def test_broken_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2.*not valid YAML"):
        load(Outer, written(tmp_path, "names: [a]\ntrain: a: b\n"))


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"penjing.yaml: The key 'train.epochs' stands twice \(lines 2 and 3\)"):
        load(Outer, written(tmp_path, "train:\n  epochs: 1\n  epochs: 2\n"))


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="penjing init"):
        load(Outer, tmp_path / "none.yaml")


def test_every_complaint_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        load(Outer, written(tmp_path, "trian: {}\ntrain: {epochs: many}\n"))
    assert len(str(told.value).splitlines()) == 2


def test_overrides_win_and_are_read_as_yaml(tmp_path: Path) -> None:
    path = written(tmp_path, "train: {epochs: 1}\n")
    config = load(Outer, path, ["train.epochs=5", "names=[a, b]"])
    assert config.train.epochs == 5
    assert config.names == ["a", "b"]


@pytest.mark.parametrize("override", ["train.epochs", "=3", "train.epochs=[", "train.epoch=3"])
def test_a_bad_override_is_refused(override: str) -> None:
    with pytest.raises(ConfigError):
        load(Outer, None, [override], {})


def test_a_written_config_reads_back_the_same(tmp_path: Path) -> None:
    config = load(Outer, None, ["train.kind=b"], {})
    assert load(Outer, written(tmp_path, dump(config))) == config
