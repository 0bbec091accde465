"""A package is there whole and signed, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from penjing.core.errors import BadRequest, PenjingError, Refused, RunFailed
from penjing.core.files import read_json, sha256
from penjing.package.manifest import Manifest
from penjing.security.signing import ModelSigner

Packer = Callable[..., Manifest]


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_package_holds_what_serving_needs_and_nothing_more(pack: Packer, tmp_path: Path) -> None:
    pack()
    tier = ["engine/weights", "tier.json"]
    tiers = [f"tiers/{name}/{file}" for name in ("linear", "transformer") for file in tier]
    assert names(tmp_path / "package") == sorted(["README.md", "cascade.json", "report.json", "manifest.json", "model.sig", *tiers])
    assert not (tmp_path / ".package.partial").exists()


def test_the_manifest_says_what_is_inside(pack: Packer, tmp_path: Path) -> None:
    manifest = pack(serves="transformer")
    folder = tmp_path / "package"
    assert Manifest.read(folder) == manifest
    assert {name: sha256(folder / name) for name in names(folder) if name not in ("manifest.json", "model.sig")} == manifest.digests
    assert manifest.task["name"] == "text-classification"
    assert manifest.created.endswith("+00:00")
    assert manifest.lineage == {"data": "abc"}
    assert [tier.name for tier in manifest.tiers] == ["linear", "transformer"]
    assert manifest.serves == "transformer"


def test_the_model_digest_is_of_tiers_and_cascade_alone(pack: Packer, tiers: dict[str, Path], tmp_path: Path) -> None:
    first = pack()
    (tiers["linear"] / "artefact.json").write_text('{"seconds": 9.9}')
    again = pack(tmp_path / "again", documents={"README.md": "other"}, name="other")
    assert again.model == first.model
    (tiers["linear"] / "engine" / "weights").write_bytes(b"other")
    assert pack(tmp_path / "changed").model != first.model


def test_a_package_replaces_an_older_one(pack: Packer, tmp_path: Path) -> None:
    pack(documents={"old.txt": ""})
    pack()
    assert "old.txt" not in names(tmp_path / "package")
    assert [p.name for p in tmp_path.iterdir() if "package" in p.name] == ["package"]


def test_a_folder_that_is_no_package_is_not_replaced(pack: Packer, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "thesis.doc").write_text("years of work")
    with pytest.raises(BadRequest, match="is not a package, so it is not replaced"):
        pack()
    assert (tmp_path / "package" / "thesis.doc").read_text() == "years of work"


class Unsure:
    """A signer whose signature does not hold."""

    def sign(self, folder: Path) -> None:
        (folder / "model.sig").write_text("{}")

    def verify(self, folder: Path) -> str:
        raise Refused(f"{folder} is not trusted.")


def test_a_signature_that_does_not_hold_leaves_nothing_behind(pack: Packer, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        pack(signer=Unsure())
    assert not [p.name for p in tmp_path.iterdir() if "package" in p.name]


def test_without_a_key_nothing_is_packed(pack: Packer, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="penjing init"):
        pack(signer=ModelSigner(tmp_path / "nobody"))
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"serves": "linar"}, "Did you mean 'linear'"),
        ({"documents": {"../README.md": ""}}, "cannot be the name of a document"),
        ({"documents": {"manifest.json": ""}}, "cannot be the name of a document"),
        ({"tiers": {"../up": Path()}, "serves": "../up"}, "cannot be the name of a tier"),
        ({"tiers": {"linear": Path("nowhere")}}, "holds no finished tier"),
    ],
)
def test_what_cannot_be_packed_is_told(pack: Packer, tmp_path: Path, given: dict[str, object], told: str) -> None:
    with pytest.raises(PenjingError, match=told):
        pack(**given)
    assert not (tmp_path / "package").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="an administrator may write everywhere")
def test_a_read_only_place_is_told(pack: Packer, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(RunFailed, match="writing is not permitted"):
        pack(tmp_path / "closed" / "package")


def test_the_task_of_the_answering_tier_is_summarised(pack: Packer) -> None:
    task = pack().task
    assert task["options"] == {"target": "rating", "columns": ["review"], "labels": ["bad", "good"], "costs": {}}


def test_the_manifest_is_plain_json(pack: Packer, tmp_path: Path) -> None:
    pack()
    assert read_json(tmp_path / "package" / "manifest.json")["format"] == 2
