"""The key that this machine signs with and the keys that it trusts, as PEM files in one folder. Knows nothing of packages.

Layout of the home folder (0700): `key.pem` (private, 0600), `key.pub`, and `trusted/NAME.pub` for the keys of others.

A key's fingerprint is the SHA-256 of its public PEM file, which is also how an OpenSSF model signature names its key: what a refusal shows,
what `sha256sum key.pub` prints and what a colleague reads out are the same figure.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from penjing.core.errors import BadRequest, Refused
from penjing.core.files import told_plainly, write_text

OWN = "this-machine"
"""Name of the machine's own key among those it trusts."""
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that this machine trusts."""

    name: str
    fingerprint: str
    """64 hexadecimal digits."""
    public: Path

    def __str__(self) -> str:
        return f"{self.name} ({short(self.fingerprint)})"


def home() -> Path:
    """Return the folder of keys: the environment's PENJING_HOME, or ~/.config/penjing."""
    given = os.environ.get("PENJING_HOME")
    return Path(given).expanduser() if given else Path.home() / ".config" / "penjing"


def short(fingerprint: str) -> str:
    """Return the part of a fingerprint that is shown to people."""
    return fingerprint[:16]


def make_key(home: Path) -> Key:
    """Make this machine's key, which it then trusts. Encrypted where the environment's PENJING_KEY_PASSPHRASE says with what.

    Raises BadRequest where there is one already: it is never overwritten.
    """
    private = home / "key.pem"
    if private.exists():
        raise BadRequest(f"{private} is there already and is not overwritten. To make another key, move this folder away first: {home}")
    key = ec.generate_private_key(ec.SECP256R1())
    with told_plainly(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _owned(home)
        _keep_former(home)
        write_text(home / "key.pub", _pem(key.public_key()))
        secret = passphrase()
        protection = serialization.BestAvailableEncryption(secret) if secret else NoEncryption()
        _write_private(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    return own_key(home)


def own_key(home: Path) -> Key:
    """Return this machine's key. Raises BadRequest where there is none."""
    if not (home / "key.pem").exists() or not (home / "key.pub").exists():
        raise BadRequest(f"This machine has no key to sign with ({home / 'key.pem'} is missing). Make one with: penjing init")
    return _read(home / "key.pub", OWN)


def private_key(home: Path) -> Path:
    """Return the path of the private key, once it is certain that nobody else can read it. Raises Refused otherwise."""
    own_key(home)
    path = home / "key.pem"
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise Refused(f"{path} can be read by others, so it may not be yours alone any more. Close it with: chmod 600 {path}")
    return path


def passphrase() -> bytes | None:
    """Return what the environment says the private key is encrypted with."""
    given = os.environ.get("PENJING_KEY_PASSPHRASE")
    return given.encode() if given else None


def trust(home: Path, public: Path, name: str) -> Key:
    """Trust the signatures made with the key whose public half is the PEM file `public`. Asked again for the same key, changes nothing.

    Raises BadRequest for a file that is no such key, and for a name that another key has.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", name) or name == OWN:
        raise BadRequest(f"{name!r} cannot be the name of a key. Use up to 64 letters, digits and . _ @ -, beginning with a letter or digit.")
    given = _read(public, name)
    for known in trusted_keys(home) if home.exists() else []:
        if known.fingerprint == given.fingerprint:
            return known
        if known.name == name:
            raise BadRequest(f"Another key is trusted as {name!r}: {known}. Choose another name, or remove {known.public} if it is void.")
    kept = home / "trusted" / f"{name}.pub"
    with told_plainly(home):
        for folder in (home, kept.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _owned(folder)
        write_text(kept, _pem(_load(public)))
    return _read(kept, name)


def trusted_keys(home: Path) -> list[Key]:
    """Return the keys that this machine trusts, its own first. Raises Refused where others could have added to them."""
    own = home / "key.pub"
    others = sorted((home / "trusted").glob("*.pub"))
    for path in (home, home / "trusted", own, *others):
        if path.exists():
            _owned(path)
    return ([_read(own, OWN)] if own.exists() else []) + [_read(path, path.stem) for path in others]


def _keep_former(home: Path) -> None:
    """Go on trusting the key of this machine whose private half is gone: packages signed with it are still good."""
    if (home / "key.pub").exists():
        former = _read(home / "key.pub", OWN)
        trust_as = home / "trusted" / f"formerly-{OWN}-{short(former.fingerprint)}.pub"
        trust_as.parent.mkdir(mode=0o700, exist_ok=True)
        write_text(trust_as, former.public.read_text(encoding="utf-8"))


def _write_private(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)  # unlike a rename, this fails where another process was quicker
    except FileExistsError as error:
        raise BadRequest(f"{path} was just made by another process. Use that one.") from error
    finally:
        partial.unlink()


def _read(path: Path, name: str) -> Key:
    return Key(name, hashlib.sha256(_pem(_load(path)).encode()).hexdigest(), path)


def _load(path: Path) -> ec.EllipticCurvePublicKey:
    try:
        content = path.read_bytes()
        key = serialization.load_pem_public_key(content)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read as a public key: {error.strerror}. Give the file key.pub of the machine to trust.") from error
    except ValueError as error:
        mistake = "a private key, which must never leave its machine" if b"PRIVATE KEY" in content else "not a public key in PEM form"
        raise BadRequest(f"{path} is {mistake}. Give the file key.pub of the machine to trust.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise BadRequest(f"{path} is a key of another kind. Model signatures are checked with elliptic-curve keys: P-256, P-384 or P-521.")
    return key


def _pem(key: ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _owned(path: Path) -> None:
    """Refuse a place where others may write: who can add a trusted key can sign anything."""
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o022:
        raise Refused(f"{path} can be changed by others, so the keys there prove nothing. Close it with: chmod go-w {path}")
