"""A signed folder is exactly what its signer signed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from penjing.core.errors import BadRequest, Refused
from penjing.security.keys import make_key, trust
from penjing.security.signing import ModelSigner


@pytest.fixture
def signer(tmp_path: Path) -> ModelSigner:
    make_key(tmp_path / "home")
    return ModelSigner(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "tiers" / "linear").mkdir(parents=True)
    (folder / "tiers" / "linear" / "weights").write_bytes(b"0123456789" * 100)
    (folder / "README.md").write_text("hello")
    (folder / ".gitignore").write_text("*")
    return folder


def test_a_signed_folder_names_its_signer_wherever_it_is_moved(folder: Path, signer: ModelSigner) -> None:
    signer.sign(folder)
    moved = folder.rename(folder.with_name("renamed"))
    folder.with_name("current").symlink_to(moved)
    assert signer.verify(moved).startswith("this-machine (")
    assert signer.verify(folder.with_name("current")) == signer.verify(moved)


def change(folder: Path) -> None:
    path = folder / "tiers" / "linear" / "weights"
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)


def link(folder: Path) -> None:
    shutil.copy(folder / "README.md", folder.parent / "elsewhere")
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to(folder.parent / "elsewhere")


def edit_signature(folder: Path) -> None:
    text = (folder / "model.sig").read_text()
    payload = json.loads(text)["dsseEnvelope"]["payload"]
    (folder / "model.sig").write_text(text.replace(payload, payload[:-8] + ("A" * 8)))


TAMPERINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed byte": (change, "Changed: tiers/linear/weights"),
    "an extra file": (lambda f: (f / "tiers" / "extra.py").write_text(""), "Extra: tiers/extra.py"),
    "an extra git file": (lambda f: (f / ".gitattributes").write_text(""), "Extra: .gitattributes"),
    "a changed git file": (lambda f: (f / ".gitignore").write_text("x"), "Changed: .gitignore"),
    "a missing file": (lambda f: (f / "README.md").unlink(), "Missing: README.md"),
    "a symbolic link": (link, "README.md is a symbolic link"),
    "no signature": (lambda f: (f / "model.sig").unlink(), "is not signed"),
    "an emptied signature": (lambda f: (f / "model.sig").write_text(""), "not a signature"),
    "an edited signature": (edit_signature, "does not hold"),
    "another kind of signature": (lambda f: (f / "model.sig").write_text('{"verificationMaterial": {"certificate": {}}}'), "not a signature"),
    "a nameless signature": (
        lambda f: (f / "model.sig").write_text('{"verificationMaterial": {"publicKey": {"hint": ""}}}'),
        "does not name its key",
    ),
}


@pytest.mark.parametrize("how", TAMPERINGS)
def test_a_folder_is_refused_with(how: str, folder: Path, signer: ModelSigner) -> None:
    tamper, told = TAMPERINGS[how]
    signer.sign(folder)
    tamper(folder)
    with pytest.raises(Refused, match=told) as refusal:
        signer.verify(folder)
    assert refusal.value.exit_code == 4


def test_a_stranger_who_signs_again_is_refused_by_fingerprint(folder: Path, signer: ModelSigner, tmp_path: Path) -> None:
    stranger = ModelSigner(tmp_path / "stranger")
    key = make_key(stranger.home)
    signer.sign(folder)
    change(folder)
    stranger.sign(folder)
    with pytest.raises(Refused, match=f"{key.fingerprint[:16]}, which this machine does not trust.*penjing init --trust"):
        signer.verify(folder)
    trust(signer.home, key.public, "stranger")
    assert signer.verify(folder).startswith("stranger (")


def test_a_stranger_who_claims_a_trusted_key_is_refused(folder: Path, signer: ModelSigner, tmp_path: Path) -> None:
    stranger = ModelSigner(tmp_path / "stranger")
    theirs, ours = make_key(stranger.home), (signer.sign(folder), json.loads((folder / "model.sig").read_text()))[1]
    stranger.sign(folder)
    text = (folder / "model.sig").read_text()
    (folder / "model.sig").write_text(text.replace(theirs.fingerprint, ours["verificationMaterial"]["publicKey"]["hint"]))
    with pytest.raises(Refused, match="does not hold"):
        signer.verify(folder)


def test_an_encrypted_key_signs_with_its_passphrase_only(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_KEY_PASSPHRASE", "secret")
    make_key(tmp_path / "home")
    signer = ModelSigner(tmp_path / "home")
    signer.sign(folder)
    assert signer.verify(folder)
    for wrong in ("wrong", ""):
        monkeypatch.setenv("PENJING_KEY_PASSPHRASE", wrong)
        with pytest.raises(Refused, match="PENJING_KEY_PASSPHRASE"):
            signer.sign(folder)


def test_without_a_key_nothing_is_signed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="penjing init"):
        ModelSigner(tmp_path / "nothing").sign(folder)
    assert not (folder / "model.sig").exists()


def test_signing_and_verifying_touch_no_network(folder: Path, signer: ModelSigner) -> None:
    program = """
import sys
from pathlib import Path
def watch(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"):
        raise SystemExit(f"network: {event} {args}")
sys.addaudithook(watch)
from penjing.security.signing import ModelSigner
signer = ModelSigner(Path(sys.argv[1]))
signer.sign(Path(sys.argv[2]))
print(signer.verify(Path(sys.argv[2])))
print([m for m in sys.modules if m.split(".")[0] in ("torch", "transformers", "ray")])
"""
    done = subprocess.run([sys.executable, "-c", program, str(signer.home), str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("this-machine (")
    assert done.stdout.splitlines()[1] == "[]"
