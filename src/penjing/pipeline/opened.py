"""Opens something that answers: a signed package, or the cascade or the newest tier of a run that is still under way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penjing.core.cascade import Predictors
from penjing.core.errors import BadRequest, nearest
from penjing.core.files import read_json
from penjing.core.protocols import Predictor, Signer
from penjing.core.tier import Tier, whole_of
from penjing.package.open import open_package


@dataclass(frozen=True, slots=True)
class Opened:
    predictor: Predictor
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
    """Open the package at `path`, or what the run at `path` has so far: its cascade, or its newest tier. Raises BadRequest, Refused."""
    if (path / "prepare").is_dir() and not (path / "manifest.json").exists():
        if (path / "package").is_dir():
            return opened(path / "package", signer, tier)
        return _unsigned(path, tier)
    package = open_package(path, signer)
    manifest = package.manifest
    settings = read_json(path / "serve.json") if (path / "serve.json").exists() else {}
    return Opened(package.predictor(tier or settings.get("tier")), manifest.name, package.signed_by, manifest.model, manifest.created, settings)


def _unsigned(path: Path, tier: str | None) -> Opened:
    finished = sorted((path / "export").glob("*/artefact.json"), key=lambda record: record.stat().st_mtime)
    folders = {record.parent.name: record.parent for record in finished}
    if not folders:
        raise BadRequest(f"{path}: no tier is learnt yet. Wait for the first one, or run: penjing run")
    settings = (yaml.safe_load((path / "penjing.yaml").read_text(encoding="utf-8")) or {}).get("serve", {})
    calibrated = path / "calibrate"
    if (calibrated / "artefact.json").exists():
        predictor = Predictors.read(calibrated / "cascade.json").open(folders, tier)
        return Opened(predictor, path.resolve().name, None, str(read_json(calibrated / "artefact.json")["model"]), "", settings)
    chosen = tier or list(folders)[-1]
    if whole_of(chosen) not in folders:
        raise BadRequest(f"{path}: no tier {chosen!r} is learnt. {nearest(chosen, folders)}")
    folder = folders[whole_of(chosen)]
    members = {member.name: member for member in Tier.open(folder).members()}
    if chosen not in members:
        raise BadRequest(f"{path}: no tier {chosen!r} is learnt. {nearest(chosen, members)}")
    return Opened(members[chosen], path.resolve().name, None, str(read_json(folder / "artefact.json")["model"]), "", settings)
