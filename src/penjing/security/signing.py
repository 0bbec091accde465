"""Signs and verifies folders with OpenSSF Model Signing and local keys. Knows nothing of what the folders hold, and touches no network.

The signature is `model.sig` in the folder, a Sigstore bundle over the names and SHA-256 digests of all other files. The library takes half
a second to import, so it is imported when used.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing.core.errors import Refused
from penjing.core.files import files_of, sha256
from penjing.security.keys import Key, passphrase, private_key, short, trusted_keys

SIGNATURE = "model.sig"


@dataclass(frozen=True, slots=True)
class ModelSigner:
    """A core.protocols.Signer whose keys lie in the folder `home`."""

    home: Path

    def sign(self, folder: Path) -> None:
        """Write `model.sig` over everything else in `folder`. Raises BadRequest without a key, Refused where the key cannot be used."""
        key = private_key(self.home)
        from model_signing import signing

        folder = folder.resolve()
        try:
            # The library hands the passphrase on as it is, and cryptography wants bytes.
            config = signing.Config().use_elliptic_key_signer(private_key=key, password=passphrase())
        except (ValueError, TypeError) as error:
            raise Refused(f"{key} cannot be opened: {error}. Its passphrase is read from the environment variable PENJING_KEY_PASSPHRASE.") from error
        config.set_hashing_config(_hashing()).sign(folder, folder / SIGNATURE)

    def verify(self, folder: Path) -> str:
        """Return the trusted key that signed `folder` as it is now, by its name and short fingerprint.

        Raises Refused: unsigned, signed by a stranger, or a file changed, missing, added or linked since.
        """
        folder = folder.resolve()
        _without_links(folder)
        key = self._signer_of(folder)
        from model_signing import verifying

        try:
            verifying.Config().use_elliptic_key_verifier(public_key=key.public).set_hashing_config(_hashing()).verify(folder, folder / SIGNATURE)
        except Exception as error:  # whatever a forged bundle makes the library raise, it is not a valid signature
            raise Refused(_what_differs(folder, error)) from error
        return str(key)

    def _signer_of(self, folder: Path) -> Key:
        """Return the trusted key that the signature names; whether it really made it is verified afterwards."""
        named = _key_named_in(folder)
        for key in trusted_keys(self.home):
            if key.fingerprint == named:
                return key
        raise Refused(
            f"{folder} is signed by key {short(named)}, which this machine does not trust, so nothing in it was opened. "
            "If its maker tells you that fingerprint (sha256sum key.pub), get the maker's key.pub and trust it with: penjing init --trust FILE"
        )


def _hashing() -> Any:
    from model_signing import hashing

    return hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _without_links(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise Refused(f"{path} is a symbolic link, which a signature cannot vouch for. Copy the package again without links.")


def _key_named_in(folder: Path) -> str:
    """Return the fingerprint in the signature's verification material."""
    try:
        named: Any = json.loads((folder / SIGNATURE).read_bytes())["verificationMaterial"]["publicKey"]["hint"]
    except FileNotFoundError as error:
        raise Refused(f"{folder} is not signed ({SIGNATURE} is missing), so nothing in it was opened. Sign it with: penjing pack") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(f"{folder / SIGNATURE} is not a signature made with a key. Get the package again from its maker.") from error
    if not isinstance(named, str) or not named:
        raise Refused(f"{folder / SIGNATURE} does not name its key. Get the package again from its maker.")
    return named


def _what_differs(folder: Path, error: Exception) -> str:
    remedy = "It was changed after it was signed, so nothing in it was opened. Get the package again from its maker."
    if not str(error).startswith("Signature mismatch"):
        return f"{folder}: {SIGNATURE} does not hold ({str(error).strip() or type(error).__name__}). {remedy}"
    payload = json.loads(base64.b64decode(json.loads((folder / SIGNATURE).read_bytes())["dsseEnvelope"]["payload"]))
    signed = {item["name"]: item["digest"] for item in payload["predicate"]["resources"]}
    found = {path.relative_to(folder).as_posix(): path for path in files_of(folder) if path != folder / SIGNATURE}
    differences = {
        "missing": sorted(signed.keys() - found.keys()),
        "extra": sorted(found.keys() - signed.keys()),
        "changed": sorted(name for name in signed.keys() & found.keys() if sha256(found[name]) != signed[name]),
    }
    told = "; ".join(f"{how}: {_few(names)}" for how, names in differences.items() if names)
    return f"{folder} is not as it was signed. {told[:1].upper()}{told[1:]}. {remedy}"


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
