"""exported tiers + report → a signed package, opened again and compared with what went in. The signature is written last."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from penjing.core.artefacts import Artefact
from penjing.core.cascade import Predictors
from penjing.core.config import Section
from penjing.core.difference import first_difference
from penjing.core.errors import BadRequest, PenjingError
from penjing.core.files import files_of, read_json, sha256
from penjing.core.handover import compared, rows_of
from penjing.core.protocols import Progress, Signer
from penjing.core.snapshot import Snapshot
from penjing.core.tier import whole_of
from penjing.core.types import Measurement
from penjing.package.card import card
from penjing.package.manifest import TIERS, Manifest
from penjing.package.open import Package, open_package, predictor
from penjing.package.seal import seal


class PackConfig(Section):
    """What the package is called, what is in it and what answers."""

    name: str | None = None
    """Name of the package; the run's name where not given."""
    tier: str | None = None
    """What answers: a tier, a blend of tiers ("linear+transformer-full") or "cascade"; what calibration found where not given."""
    include: Literal["needed", "all"] = "needed"
    """Tiers in the package: those that what answers needs, or all that were learnt."""
    license: str = "unknown"
    """Licence of the packaged model, as an SPDX identifier, for the model card."""


Hold = Callable[[Sequence[Measurement], Callable[[], str | None]], None]
"""Judges what was measured of a hand-over, and asks what differs first where it does not hold."""


@dataclass(frozen=True, slots=True)
class Packed:
    package: Package
    parity: list[Measurement]
    reused: bool


def pack(
    config: PackConfig,
    data: Snapshot,
    exported: Mapping[str, Artefact],
    calibrated: Artefact,
    reported: Artefact,
    settings: Mapping[str, Any],
    folder: Path,
    name: str,
    signer: Signer,
    hold: Hold,
    progress: Progress,
) -> Packed:
    """Seal what answers into `folder`, unless the package there was made from just this and still verifies.

    reported: the judged report, as stages/report writes it. settings: the `serve` section, which travels in the package as `serve.json`.
    hold: judges the parity of exported and packaged before anything is signed. Raises BadRequest for something to answer that is not there.
    """
    report = read_json(reported.folder / "report.json")
    predictors = _chosen(Predictors.read(calibrated.folder / "cascade.json"), config, exported)
    tiers = {tier: artefact for tier, artefact in exported.items() if config.include == "all" or _needs(predictors.of(None), tier)}
    lineage: dict[str, Any] = {
        "tiers": {tier: artefact.model for tier, artefact in tiers.items()},
        "inputs": {tier: artefact.inputs for tier, artefact in tiers.items()},
        "cascade": calibrated.model,
        "report": reported.model,
        "name": config.name or name,
        "serves": predictors.serves,
        "license": config.license,
        "serve": dict(settings),
    }
    before = predictors.open({tier: artefact.folder for tier, artefact in exported.items()})
    proved: list[Measurement] = []

    def prove(place: Path) -> None:
        after = predictor(place, Manifest.read(place))
        proved.extend(compared(after, before, data, place))
        hold(proved, lambda: first_difference(after, before, rows_of(data)))

    package = _still_there(folder, lineage, tiers, signer)
    reused = package is not None
    if package is None:
        progress.start("seal and sign", 0)
        documents = {
            "report.json": json.dumps(report, indent=1, ensure_ascii=False),
            "report.html": (reported.folder / "report.html").read_text(encoding="utf-8"),
            "serve.json": json.dumps(dict(settings), indent=1),
            "README.md": card(lineage["name"], predictors.serves, report, license_name=config.license),
        }
        seal(folder, lineage["name"], {tier: a.folder for tier, a in tiers.items()}, predictors, documents, lineage, signer, prove)
        package = open_package(folder, signer)
        progress.finish()
    else:
        prove(folder)
    return Packed(package, proved, reused)


def _chosen(predictors: Predictors, config: PackConfig, exported: Iterable[str]) -> Predictors:
    """Return what the package can answer with: what is to answer, and everything else that the tiers it brings are enough for."""
    serves = predictors.of(config.tier)
    kept = [tier for tier in exported if config.include == "all" or _needs(serves, tier)]
    enough = {name: told for name, told in predictors.described.items() if {whole_of(needed) for needed in told["tiers"]} <= set(kept)}
    return Predictors(serves["name"], enough)


def _needs(described: Mapping[str, Any], tier: str) -> bool:
    return tier in map(whole_of, described["tiers"])


def _still_there(folder: Path, lineage: dict[str, Any], tiers: Mapping[str, Artefact], signer: Signer) -> Package | None:
    """Return the package in `folder` where it verifies, was made from just this, and holds the tiers byte for byte."""
    if not folder.exists():
        return None
    try:
        found = open_package(folder, signer)
    except BadRequest:
        raise
    except PenjingError:  # changed, or signed by a key that is trusted no more: it is made again
        return None
    if found.manifest.lineage != lineage:
        return None
    files = {f"{TIERS}/{tier}/{path.relative_to(made.folder).as_posix()}": path for tier, made in tiers.items() for path in files_of(made.folder)}
    same = all(sha256(path) == found.manifest.digests[name] for name, path in files.items() if name in found.manifest.digests)
    return found if same else None
