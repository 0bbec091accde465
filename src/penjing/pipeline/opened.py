"""Opens something that answers: a signed package, or the newest tier of a run that is still under way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penjing.core.errors import BadRequest, nearest
from penjing.core.files import read_json
from penjing.core.protocols import Signer
from penjing.core.tier import Tier
from penjing.package.open import open_package


@dataclass(frozen=True, slots=True)
class Opened:
    tier: Tier
    name: str
    signed_by: str | None
    """The trusted key that signed it; None for a run's own folder, which nobody signed yet."""
    model: str
    """Digest of weights and options."""
    created: str
    """When it was signed (ISO 8601, UTC); empty where nobody did."""
    settings: dict[str, Any]
    """The `serve` section that it came with."""


def opened(path: Path, signer: Signer, tier: str | None = None) -> Opened:
    """Open the package at `path`, or the newest tier of the run at `path`. Raises BadRequest, Refused."""
    if (path / "prepare").is_dir() and not (path / "manifest.json").exists():
        if (path / "package").is_dir():
            return opened(path / "package", signer, tier)
        return _unsigned(path, tier)
    package = open_package(path, signer)
    manifest = package.manifest
    settings = read_json(path / "serve.json") if (path / "serve.json").exists() else {}
    return Opened(package.tier(tier or settings.get("tier")), manifest.name, package.signed_by, manifest.model, manifest.created, settings)


def _unsigned(path: Path, tier: str | None) -> Opened:
    finished = sorted((path / "export").glob("*/artefact.json"), key=lambda record: record.stat().st_mtime)
    names = [record.parent.name for record in finished]
    if not names:
        raise BadRequest(f"{path}: no tier is learnt yet. Wait for the first one, or run: penjing run")
    chosen = tier or names[-1]
    if chosen not in names:
        raise BadRequest(f"{path}: no tier {chosen!r} is learnt. {nearest(chosen, names)}")
    folder = path / "export" / chosen
    settings = (yaml.safe_load((path / "penjing.yaml").read_text(encoding="utf-8")) or {}).get("serve", {})
    return Opened(Tier.open(folder), path.resolve().name, None, str(read_json(folder / "artefact.json")["model"]), "", settings)
