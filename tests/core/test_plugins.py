from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from penjing.core import plugins
from penjing.core.errors import BadRequest, MissingLibrary


def test_a_plugin_is_found_by_the_name_of_its_file() -> None:
    from penjing.plugins.tasks.text_classification import TextClassification

    assert plugins.load("tasks", "text-classification") is TextClassification
    assert plugins.load("tasks", "text_classification") is TextClassification
    assert plugins.load("cleaners", "empty").__name__ == "empty"
    assert plugins.load("learners", "transformer").__name__ == "Transformer"
    assert plugins.name_of("tasks", TextClassification("y", ["x"], ["a", "b"])) == "text-classification"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadRequest, match="There is no engine called 'openvino'. Did you mean 'openvino-runtime'"):
        plugins.load("engines", "openvino")
    with pytest.raises(BadRequest, match="is not among the plugins"):
        plugins.name_of("tasks", object())


def test_a_missing_library_is_one_sentence_with_its_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "far_away.py").write_text("import a_library_that_is_not_there\nclass FarAway: ...\n")
    (tmp_path / "engines" / "heavy.py").write_text("import torch.no_such_part\nclass Heavy: ...\n")
    program = (
        "from penjing.core import plugins\nfor name in ('far-away', 'heavy'):\n"
        "    try: plugins.load('engines', name)\n    except Exception as e: print(type(e).__name__, e)"
    )
    monkeypatch.setenv("PENJING_PLUGINS", str(tmp_path))
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.splitlines()
    assert out[0].startswith(f"{MissingLibrary.__name__} The engine 'far-away' needs the library 'a_library_that_is_not_there'")
    assert out[0].endswith("pip install a_library_that_is_not_there")
    assert "pip install 'penjing[train]'" in out[1]


def test_other_distributions_add_plugins_by_entry_point(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("class TheirTask: ...\n")
    described = tmp_path / "theirs-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[penjing.tasks]\ntheir-task = theirs:TheirTask\n")
    program = "from penjing.core import plugins; print('their-task' in plugins.names('tasks'), plugins.load('tasks', 'their-task').__module__)"
    out = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["True", "theirs"]


def test_reading_a_learners_options_or_planning_with_it_imports_no_heavy_library() -> None:
    program = (
        "import sys\nfrom penjing.core import plugins\n"
        "for name in plugins.names('learners'): plugins.options('learners', name); plugins.load('learners', name)\n"
        "print([m for m in ('torch', 'transformers', 'openvino', 'onnxruntime') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
