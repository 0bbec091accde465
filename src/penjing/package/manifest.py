"""What a package says of itself: manifest.json. Knows the names and digests of files; reads none of them and trusts nothing.

Layout of a package: `tiers/NAME/` (core/tier.py), `cascade.json` (core/cascade.py), documents such as README.md and report.json,
`manifest.json`, `model.sig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from penjing.core.errors import BadRequest, Refused
from penjing.core.files import digest, read_json, write_json

FORMAT = 2
MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
TIERS = "tiers"
CASCADE = "cascade.json"


@dataclass(frozen=True, slots=True)
class TierEntry:
    name: str
    folder: str
    """Relative to the package, with slashes."""


@dataclass(frozen=True, slots=True)
class Manifest:
    format: int
    penjing: str
    """Version of Penjing that wrote the package."""
    name: str
    created: str
    """ISO 8601, UTC."""
    tiers: list[TierEntry]
    """Cheapest first."""
    serves: str
    """Name of the tier, blend or cascade that answers."""
    task: dict[str, Any]
    """Name and options of the task."""
    model: str
    """SHA-256 over names and contents of the files of all tiers and of cascade.json: the same for the same inputs and seed."""
    digests: dict[str, str]
    """SHA-256 of every file but manifest.json and model.sig, by its path relative to the package."""
    lineage: dict[str, Any]
    """Digests of what it was made from."""

    def write(self, folder: Path) -> None:
        write_json(folder / MANIFEST, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and check `manifest.json`. Raises BadRequest for another format, Refused where it names files outside the package."""
        path = folder / MANIFEST
        try:
            values: dict[str, Any] = read_json(path)
            if values["format"] != FORMAT:
                raise BadRequest(f"{path} is of format {values['format']}; this Penjing reads format {FORMAT}. Install the Penjing that wrote it.")
            known = {name: values[name] for name in (field.name for field in fields(cls))}
            manifest = cls(**known | {"tiers": [TierEntry(**tier) for tier in values["tiers"]]})
        except FileNotFoundError as error:
            raise BadRequest(f"{folder} is not a package ({MANIFEST} is missing). Make one with: penjing pack") from error
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadRequest(f"{path} is not a manifest that this Penjing can read ({error}). Get the package again from its maker.") from error
        manifest._stays_inside(folder)
        return manifest

    def _stays_inside(self, folder: Path) -> None:
        for name in [*self.digests, *(tier.folder for tier in self.tiers)]:
            path = PurePosixPath(name)
            if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name:
                raise Refused(f"{folder / MANIFEST} names {name!r}, which does not lie inside the package. Do not use it.")


def model_digest(digests: Mapping[str, str]) -> str:
    """Return the digest of what computes the answers, from the digests of all files."""
    return digest({name: value for name, value in digests.items() if name == CASCADE or name.startswith(f"{TIERS}/")})
