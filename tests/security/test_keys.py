"""The machine's key and the keys it trusts."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from penjing.core.errors import BadRequest, Refused
from penjing.security.keys import OWN, home, make_key, own_key, private_key, trust, trusted_keys


def public_pem(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> Path:
    key = key or ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def test_the_home_is_what_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "keys"))
    assert home() == tmp_path / "keys"
    monkeypatch.delenv("PENJING_HOME")
    assert home() == Path.home() / ".config" / "penjing"


def test_a_made_key_is_private_and_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    key = make_key(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert trusted_keys(folder) == [key]
    assert sorted(p.name for p in folder.iterdir()) == ["key.pem", "key.pub"]


def test_the_fingerprint_is_what_sha256sum_prints(tmp_path: Path) -> None:
    key = make_key(tmp_path / "home")
    assert key.fingerprint == hashlib.sha256(key.public.read_bytes()).hexdigest()
    assert str(key) == f"{OWN} ({key.fingerprint[:16]})"


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    make_key(tmp_path)
    before = (tmp_path / "key.pem").read_bytes()
    with pytest.raises(BadRequest, match="not overwritten"):
        make_key(tmp_path)
    assert (tmp_path / "key.pem").read_bytes() == before


def test_a_lost_private_key_leaves_its_signatures_trusted(tmp_path: Path) -> None:
    former = make_key(tmp_path)
    (tmp_path / "key.pem").unlink()
    now = make_key(tmp_path)
    assert [k.fingerprint for k in trusted_keys(tmp_path)] == [now.fingerprint, former.fingerprint]


def test_a_passphrase_encrypts_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_KEY_PASSPHRASE", "山高水长")
    make_key(tmp_path)
    content = (tmp_path / "key.pem").read_bytes()
    assert b"ENCRYPTED" in content
    load_pem_private_key(content, "山高水长".encode())


def test_a_private_key_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    make_key(tmp_path)
    (tmp_path / "key.pem").chmod(0o640)
    with pytest.raises(Refused, match=f"chmod 600 {tmp_path}/key.pem"):
        private_key(tmp_path)


def test_trusted_keys_that_others_can_add_to_are_refused(tmp_path: Path) -> None:
    make_key(tmp_path)
    tmp_path.chmod(0o770)
    with pytest.raises(Refused, match="chmod go-w"):
        trusted_keys(tmp_path)


def test_a_machine_without_key_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="penjing init"):
        own_key(tmp_path)


def test_a_strangers_key_is_trusted_by_name_and_only_once(tmp_path: Path) -> None:
    stranger = public_pem(tmp_path / "stranger.pub")
    folder = tmp_path / "home"
    key = trust(folder, stranger, "mei")
    assert trusted_keys(folder) == [key]
    assert key.name == "mei"
    assert trust(folder, stranger, "li") == key


def test_a_name_is_not_given_to_two_keys(tmp_path: Path) -> None:
    trust(tmp_path, public_pem(tmp_path / "a.pem"), "mei")
    with pytest.raises(BadRequest, match="Another key is trusted as 'mei'"):
        trust(tmp_path, public_pem(tmp_path / "b.pem"), "mei")


@pytest.mark.parametrize("name", ["", "../up", "a/b", OWN, ".hidden", "x" * 65])
def test_a_name_that_could_be_something_else_is_not_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="cannot be the name"):
        trust(tmp_path, public_pem(tmp_path / "a.pem"), name)


def test_what_is_no_elliptic_public_key_is_not_trusted(tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    (tmp_path / "text.pem").write_text("hello")
    public_pem(tmp_path / "rsa.pem", rsa.generate_private_key(65537, 2048))
    for file, why in {
        "other/key.pem": "private key",
        "text.pem": "not a public key",
        "rsa.pem": "another kind",
        "none.pem": "cannot be read",
    }.items():
        with pytest.raises(BadRequest, match=why):
            trust(tmp_path / "home", tmp_path / file, "mei")
    assert not (tmp_path / "home").exists()
