"""Tier folders to pack, and a machine with a key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from penjing.core.cascade import Predictors
from penjing.core.tier import describe
from penjing.package.manifest import Manifest
from penjing.package.seal import seal
from penjing.plugins.processors.ngrams import Ngrams
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.security.keys import make_key
from penjing.security.signing import ModelSigner

Packer = Callable[..., Manifest]


@pytest.fixture
def signer(tmp_path: Path) -> ModelSigner:
    make_key(tmp_path / "home")
    return ModelSigner(tmp_path / "home")


@pytest.fixture
def tiers(tmp_path: Path) -> dict[str, Path]:
    """Two tiers as a run leaves them, beside files that serving does not need."""
    task = TextClassification("rating", ["review"], ["bad", "good"])
    folders = {name: tmp_path / "run" / name for name in ("linear", "transformer")}
    for name, folder in folders.items():
        (folder / "engine").mkdir(parents=True)
        (folder / "engine" / "weights").write_bytes(name.encode() * 50)
        describe(folder, name, task, Ngrams(["review"]), "sparse-linear")
        (folder / "artefact.json").write_text('{"seconds": 1.5}')
        (folder / "measured").mkdir()
        (folder / "measured" / "times.json").write_text("{}")
    return folders


@pytest.fixture
def pack(tmp_path: Path, tiers: dict[str, Path], signer: ModelSigner, plain: Callable[..., Predictors]) -> Packer:
    def packer(folder: Path = tmp_path / "package", serves: str = "linear", **given: object) -> Manifest:
        documents = {"README.md": "# reviews\n", "report.json": "{}\n"}
        arguments = {"name": "reviews", "tiers": tiers, "documents": documents, "lineage": {"data": "abc"}, "signer": signer} | given
        predictors = plain([*arguments["tiers"], serves], serves)  # type: ignore[misc]
        return seal(folder, **({"predictors": predictors} | arguments))  # type: ignore[arg-type]

    return packer
