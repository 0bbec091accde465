"""Opens a signed package: the signature first, then the manifest, and the tiers only when asked for. Does not know how a signature is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penjing.core.cascade import Cascade, Predictors
from penjing.core.errors import BadRequest, Refused
from penjing.core.files import files_of
from penjing.core.protocols import Signer
from penjing.package.manifest import CASCADE, MANIFEST, SIGNATURE, Manifest


@dataclass(frozen=True, slots=True)
class Package:
    folder: Path
    manifest: Manifest
    signed_by: str
    """The trusted key that signed it."""

    def predictor(self, name: str | None = None) -> Cascade:
        """Open the tier, blend or cascade called `name`, or the one that answers, and no tier that it does not need.

        Raises BadRequest where there is none of that name, or where it needs a tier that is not in the package.
        """
        return predictor(self.folder, self.manifest, name)


def predictor(folder: Path, manifest: Manifest, name: str | None = None) -> Cascade:
    """Open what answers from the package in `folder`, whose signature the caller has verified or is about to write."""
    return Predictors.read(folder / CASCADE).open({tier.name: folder / tier.folder for tier in manifest.tiers}, name)


def open_package(folder: Path, signer: Signer) -> Package:
    """Verify the package at `folder` and read its manifest; nothing of it is read before its signature holds.

    The signature covers the content of every file, so the files are hashed once; what the manifest adds is that none is there without being named.
    Raises BadRequest where there is no package, Refused where it is unsigned, signed by a stranger or changed.
    """
    if not folder.exists():
        raise BadRequest(f"{folder} does not exist. Give the folder of a package, such as 'penjing run' or 'penjing pack' makes.")
    if not folder.is_dir() or not ((folder / MANIFEST).exists() or (folder / SIGNATURE).exists()):
        raise BadRequest(f"{folder} is not a package ({MANIFEST} is missing). Make one with: penjing pack")
    signed_by = signer.verify(folder)
    manifest = Manifest.read(folder)
    found = {path.relative_to(folder).as_posix() for path in files_of(folder)} - {MANIFEST, SIGNATURE}
    if unnamed := found ^ manifest.digests.keys():
        raise Refused(
            f"{folder}: {MANIFEST} and the files there do not agree on {', '.join(sorted(unnamed)[:5])}. Get the package again from its maker."
        )
    return Package(folder, manifest, signed_by)
