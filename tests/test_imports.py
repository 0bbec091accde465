"""The walls of the house hold by themselves: a planted import that breaks a contract is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run([sys.executable, "-c", program, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("core/types.py", "import penjing.stages.plan", "The floors"),
        ("security/keys.py", "import penjing.package.seal", "The floors"),
        ("plugins/tasks/text_regression.py", "import penjing.plugins.tasks.text_classification", "Plugins do not know each other"),
        ("stages/evaluate/evaluate.py", "import penjing.stages.predict", "Stages do not know each other"),
        ("plugins/processors/tokens.py", "import torch", "Heavy libraries"),
    ],
)
def test_a_planted_import_is_refused(tmp_path: Path, file: str, line: str, contract: str) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / "src" / "penjing" / file
    planted.write_text(planted.read_text().replace("from __future__ import annotations\n", f"from __future__ import annotations\n\n{line}\n", 1))
    done = linted(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(contract in said and "BROKEN" in said for said in done.stdout.splitlines()), done.stdout


def test_the_house_as_it_stands_keeps_every_contract() -> None:
    done = linted(ROOT)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_no_file_passes_400_lines_and_inner_init_files_are_empty(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    if path.name == "__init__.py" and path.parent.name != "penjing":
        assert not text.strip()
