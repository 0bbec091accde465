"""What a static-embedding tier costs, and what is refused before anything is spent."""

from __future__ import annotations

from pathlib import Path

import pytest

from penjing.core import plugins
from penjing.core.errors import DataError, MissingLibrary, PlanError
from penjing.core.machine import Machine
from penjing.core.types import Estimate, Spec
from penjing.plugins.learners.static_embedding.learner import StaticEmbedding

MACHINE = Machine("test", 2, 8 << 30, False)
ROWS = [{"text": f"the doctor gave me relief {i}"} for i in range(300)]


def plan(count: int = 10_000, width: int = 2, rows: list[dict[str, str]] = ROWS, **options: object) -> Estimate:
    section = StaticEmbedding.Options(**options)  # type: ignore[arg-type]
    return StaticEmbedding.plan(section, rows, ["text"], {"logits": Spec(width, "softmax")}, MACHINE, count)


def test_a_plan_grows_with_what_makes_it_dearer(vectors_file: Path) -> None:
    small = plan()
    for larger in (plan(count=1_000_000), plan(rows=[{"text": row["text"] * 30} for row in ROWS]), plan(dimensions=2048)):
        assert larger.memory_bytes >= small.memory_bytes
    assert plan(count=1_000_000).seconds > small.seconds
    assert plan(epochs=1000).seconds > small.seconds
    assert plan(width=500).disk_bytes > small.disk_bytes
    assert plan(vectors=f"path:{vectors_file}").memory_bytes > small.memory_bytes


def test_no_rows_can_be_planned_for() -> None:
    assert plan(count=0, rows=[]).seconds > 0


def test_the_model_is_read_once_and_that_is_in_the_plan(tiny_model: Path) -> None:
    found = plan(vectors=f"model:{tiny_model}", rows=[{"text": "a b c"}])
    assert "words read by a model" in found.why
    assert found.seconds > plan().seconds


def test_what_is_not_there_or_broken_is_refused(tmp_path: Path, vectors_file: Path) -> None:
    with pytest.raises(PlanError, match="Did you mean"):
        plan(vectors=f"path:{vectors_file.parent / 'glvoe.txt'}")
    with pytest.raises(PlanError, match="Did you mean 'all-MiniLM-L6-v2'"):
        plan(vectors="model:all-minilm-l6")
    (tmp_path / "x.txt").write_text("a 1 2\nb 1\n")
    with pytest.raises(DataError, match="line 2"):
        plan(vectors=f"path:{tmp_path / 'x.txt'}")
    with pytest.raises(PlanError, match=r"Only 0\.0% of the words"):
        plan(vectors=f"path:{vectors_file}", rows=[{"text": "лекарство помогло"}])


def test_without_torch_a_model_is_refused_with_the_install_line(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    plugins.load("learners", "transformer")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name, *rest))
    with pytest.raises(MissingLibrary, match=r"penjing\[train\]"):
        plan(vectors=f"model:{tiny_model}", rows=[{"text": "a b c"}])
