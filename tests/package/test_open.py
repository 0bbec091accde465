"""A package is verified before anything of it is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from penjing.core.errors import BadRequest, Refused
from penjing.package.manifest import Manifest
from penjing.package.open import open_package
from penjing.security.keys import make_key
from penjing.security.signing import ModelSigner

Packer = Callable[..., Manifest]


def edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_sealed_package_opens_and_names_its_signer(pack: Packer, signer: ModelSigner, tmp_path: Path) -> None:
    manifest = pack()
    package = open_package(tmp_path / "package", signer)
    assert package.manifest == manifest
    assert package.signed_by.startswith("this-machine (")


def test_tiers_are_opened_only_when_asked_for(pack: Packer, signer: ModelSigner, tiers: dict[str, Path], tmp_path: Path) -> None:
    described = json.loads((tiers["linear"] / "tier.json").read_text())
    (tiers["linear"] / "tier.json").write_text(json.dumps(described | {"engine": "abacus"}))
    pack()
    package = open_package(tmp_path / "package", signer)
    with pytest.raises(BadRequest, match="no engine called 'abacus'"):
        package.predictor()


def test_an_unknown_tier_is_answered_with_the_nearest(pack: Packer, signer: ModelSigner, tmp_path: Path) -> None:
    pack()
    with pytest.raises(BadRequest, match=r"no tier or cascade 'transfomer' here. Did you mean 'transformer'"):
        open_package(tmp_path / "package", signer).predictor("transfomer")


def test_what_is_no_package_is_told(signer: ModelSigner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name, told in {"nowhere": "does not exist", "file": "is not a package", "empty": "is not a package"}.items():
        with pytest.raises(BadRequest, match=told):
            open_package(tmp_path / name, signer)


TAMPERINGS: dict[str, Callable[[Path], object]] = {
    "a changed byte in a tier": lambda p: (p / "tiers" / "linear" / "engine" / "weights").write_bytes(b"LINEAR" * 50),
    "a changed manifest": lambda p: edit(p, serves="transformer"),
    "a manifest of another format": lambda p: edit(p, format=3),
    "an extra file": lambda p: (p / "tiers" / "linear" / "engine" / "sitecustomize.py").write_text(""),
    "a removed file": lambda p: (p / "report.json").unlink(),
    "a removed manifest": lambda p: (p / "manifest.json").unlink(),
    "a removed signature": lambda p: (p / "model.sig").unlink(),
    "a link in place of a file": lambda p: ((p / "report.json").unlink(), (p / "report.json").symlink_to("README.md")),
}


@pytest.mark.parametrize("how", TAMPERINGS)
def test_a_package_is_refused_with(how: str, pack: Packer, signer: ModelSigner, tmp_path: Path) -> None:
    pack()
    TAMPERINGS[how](tmp_path / "package")
    with pytest.raises(Refused) as refusal:
        open_package(tmp_path / "package", signer)
    assert refusal.value.exit_code == 4


def test_a_package_signed_again_by_a_stranger_is_refused(pack: Packer, signer: ModelSigner, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    pack(signer=ModelSigner(tmp_path / "stranger"))
    with pytest.raises(Refused, match="this machine does not trust"):
        open_package(tmp_path / "package", signer)


def test_a_well_signed_package_of_another_format_asks_for_another_penjing(pack: Packer, signer: ModelSigner, tmp_path: Path) -> None:
    pack()
    edit(tmp_path / "package", format=3)
    signer.sign(tmp_path / "package")
    with pytest.raises(BadRequest, match="is of format 3"):
        open_package(tmp_path / "package", signer)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "tiers/../../outside", "", "tiers\\..\\x"])
def test_a_manifest_that_leaves_the_package_is_refused_whoever_signed_it(pack: Packer, signer: ModelSigner, tmp_path: Path, name: str) -> None:
    pack()
    edit(tmp_path / "package", tiers=[{"name": "linear", "folder": name}])
    signer.sign(tmp_path / "package")
    with pytest.raises(Refused, match="does not lie inside the package"):
        open_package(tmp_path / "package", signer)


def test_a_file_that_the_manifest_does_not_name_is_refused_whoever_signed_it(pack: Packer, signer: ModelSigner, tmp_path: Path) -> None:
    pack()
    shutil.copy(tmp_path / "package" / "README.md", tmp_path / "package" / "unnamed.md")
    signer.sign(tmp_path / "package")
    with pytest.raises(Refused, match="do not agree on unnamed.md"):
        open_package(tmp_path / "package", signer)


@pytest.mark.parametrize("content", ["", "[]", "null", '{"format": 2}', "{"])
def test_a_broken_manifest_is_told(pack: Packer, signer: ModelSigner, tmp_path: Path, content: str) -> None:
    pack()
    (tmp_path / "package" / "manifest.json").write_text(content)
    signer.sign(tmp_path / "package")
    with pytest.raises(BadRequest, match="not a manifest that this Penjing can read"):
        open_package(tmp_path / "package", signer)
