"""One fault of each kind, planted in a hand-over of a table and of images: it is found, and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from penjing.core import plugins
from penjing.core.difference import first_difference
from penjing.core.files import read_json, write_json
from penjing.core.handover import compared, rows_of
from penjing.pipeline.config import read_config
from penjing.pipeline.run import Run, run
from penjing.pipeline.start import signer
from penjing.stages.export import difference


def table(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = ["age,job,answer"]
    for _ in range(300):
        age, job = rng.integers(18, 80), rng.choice(["cook", "clerk", "smith"], p=[0.5, 0.3, 0.2])
        lines.append(f"{age},{job},{'yes' if age / 10 + {'cook': 3, 'clerk': 0, 'smith': -3}[str(job)] + rng.normal() > 5 else 'no'}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder / "table.csv"


def images(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for label, brightness in (("dark", 60), ("light", 150)):
        (folder / "images" / label).mkdir(parents=True)
        for i in range(60):
            Image.fromarray(rng.integers(0, 100, (16, 16, 3)).astype(np.uint8) + np.uint8(brightness)).save(folder / "images" / label / f"{i}.png")
    return folder / "images"


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    found = {}
    for kind, made, tiers in (("table", table, ["tabular-linear", {"learner": "boosted-trees", "trees": 40}]), ("image", images, ["pixel-linear"])):
        folder = tmp_path_factory.mktemp(kind)
        target = "answer" if kind == "table" else None
        config = read_config(None, (), {"data": {"source": str(made(folder)), "target": target}, "tiers": tiers})
        found[kind] = run(config, folder / "run", signer(), until="train")
    return found


def told(changes: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        described = read_json(folder / "tier.json")
        changes(described["processor"]["options"])
        write_json(folder / "tier.json", described)

    return change


def swapped(options: dict[str, Any]) -> None:
    (job,) = [column for column in options["learnt"] if "cook" in str(column)]
    (key,) = [name for name, value in job.items() if isinstance(value, list) and "cook" in value]
    job[key] = [job[key][1], job[key][0], *job[key][2:]]


def damaged(file: str, array: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        from safetensors import safe_open

        path = folder / "engine" / file
        with safe_open(path, "numpy") as held:
            metadata = held.metadata()
        arrays = load_file(path)
        arrays[array] = arrays[array] * np.asarray(3, arrays[array].dtype)
        save_file(arrays, path, metadata=metadata)

    return change


@pytest.mark.parametrize(
    ("kind", "tier", "fault", "named"),
    [
        ("table", "tabular-linear", told(swapped), "learnt"),
        ("table", "tabular-linear", damaged("additive.safetensors", "values"), "age|numbers|sum|score|job"),
        ("table", "boosted-trees", damaged("trees.safetensors", "values"), "answer 1, the first"),
        ("image", "pixel-linear", told(lambda options: options.update(fit="stretch", size=64)), "size|fit"),
        ("image", "pixel-linear", damaged("pooled.safetensors", "weights"), "head|logits|weighted"),
    ],
    ids=["a category's place", "a table's weights", "a tree's leaves", "an image's size", "an image's weights"],
)
def test_a_planted_fault_breaks_parity_and_is_named(
    learnt: dict[str, Run], tmp_path: Path, kind: str, tier: str, fault: Callable[[Path], None], named: str
) -> None:
    import re
    import shutil

    this = learnt[kind]
    folder = tmp_path / "export"
    shutil.copytree(this.folders("export")[tier], folder)
    assert difference(this.folders("train")[tier], this.data, folder) is None
    fault(folder)
    found = difference(this.folders("train")[tier], this.data, folder)
    assert found is not None
    assert re.search(named, found), found


def test_the_check_itself_sees_what_the_eye_would(learnt: dict[str, Run], tmp_path: Path) -> None:
    import shutil

    from penjing.core.tier import Tier

    this = learnt["table"]
    folder = tmp_path / "export"
    shutil.copytree(this.folders("export")["boosted-trees"], folder)
    whole = Tier.open(folder)
    damaged("trees.safetensors", "values")(folder)
    measured = {m.name: m.value for m in compared(Tier.open(folder), whole, this.data, folder)}
    assert measured["largest_difference"] > 0.1
    assert first_difference(Tier.open(folder), whole, rows_of(this.data)) is not None
    assert plugins.load("engines", "trees").open(folder / "engine") is not None
