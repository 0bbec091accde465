"""exported tiers + report → a signed package, opened again and compared with what went in. The signature is written last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing.core.artefacts import Artefact
from penjing.core.config import Section
from penjing.core.errors import BadRequest, ConfigError, PenjingError, nearest
from penjing.core.files import read_json
from penjing.core.handover import parity
from penjing.core.protocols import Progress, Signer
from penjing.core.snapshot import Snapshot
from penjing.core.tier import Tier
from penjing.core.types import Measurement
from penjing.package.card import card
from penjing.package.open import Package, open_package
from penjing.package.seal import seal


class PackConfig(Section):
    """What the package is called and which tier answers."""

    name: str | None = None
    """Name of the package; the run's name where not given."""
    tier: str | None = None
    """Tier that answers; the one that did best on the validation rows where not given."""
    license: str = "unknown"
    """Licence of the packaged model, as an SPDX identifier, for the model card."""


@dataclass(frozen=True, slots=True)
class Packed:
    package: Package
    parity: list[Measurement]
    reused: bool


def pack(
    config: PackConfig,
    data: Snapshot,
    exported: Mapping[str, Artefact],
    evaluated: Artefact,
    settings: Mapping[str, Any],
    folder: Path,
    name: str,
    signer: Signer,
    progress: Progress,
) -> Packed:
    """Seal the tiers into `folder`, unless the package there was made from just these and still verifies.

    settings: the `serve` section, which travels in the package as `serve.json`.
    """
    report = read_json(evaluated.folder / "measured" / "report.json")
    serves = config.tier or report["serves"]
    if serves not in exported:
        raise ConfigError(f"pack.tier is {serves!r}, and there is no such tier. {nearest(serves, exported)}")
    lineage: dict[str, Any] = {
        "tiers": {tier: artefact.model for tier, artefact in exported.items()},
        "inputs": {tier: artefact.inputs for tier, artefact in exported.items()},
        "report": evaluated.measured,
        "name": config.name or name,
        "serves": serves,
        "license": config.license,
        "serve": dict(settings),
    }
    package = _still_there(folder, lineage, signer)
    reused = package is not None
    if package is None:
        progress.start("seal and sign", 0)
        report = {**report, "serves": serves}
        documents = {
            "report.json": json.dumps(report, indent=1, ensure_ascii=False),
            "serve.json": json.dumps(dict(settings), indent=1),
            "README.md": card(lineage["name"], serves, report, license_name=config.license),
        }
        seal(folder, lineage["name"], {tier: a.folder for tier, a in exported.items()}, serves, documents, lineage, signer)
        package = open_package(folder, signer)
        progress.finish()
    return Packed(package, parity(package.tier(), Tier.open(exported[serves].folder), data, folder), reused)


def _still_there(folder: Path, lineage: dict[str, Any], signer: Signer) -> Package | None:
    if not folder.exists():
        return None
    try:
        found = open_package(folder, signer)
    except BadRequest:
        raise
    except PenjingError:  # changed, or signed by a key that is trusted no more: it is made again
        return None
    return found if found.manifest.lineage == lineage else None
