"""Makes a signed package out of tiers and documents, whole or not at all. Does not know what the tiers compute, nor how a signature is made."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import penjing
from penjing.core.cascade import Predictors
from penjing.core.errors import BadRequest, RunFailed, nearest
from penjing.core.files import files_of, read_json, replace_folder, sha256, sync, told_plainly, write_text
from penjing.core.protocols import Signer
from penjing.core.tier import whole_of
from penjing.package.manifest import CASCADE, FORMAT, MANIFEST, SIGNATURE, TIERS, Manifest, TierEntry, model_digest


def seal(
    folder: Path,
    name: str,
    tiers: Mapping[str, Path],
    predictors: Predictors,
    documents: Mapping[str, str],
    lineage: Mapping[str, Any],
    signer: Signer,
    prove: Callable[[Path], None] = lambda _: None,
) -> Manifest:
    """Write the package at `folder`: tiers copied, documents and manifest written, signed last, and put there by one rename.

    tiers: tier folders by name, cheapest first; only `tier.json` and `engine/` of each are taken. predictors: what can answer, of these tiers
    alone, and what does. documents: text by file name. prove: raises where what stands in the folder it is given must not be signed.
    Raises BadRequest for what cannot be packed, RunFailed when the machine refuses to write, Refused where the signature does not hold.
    """
    _check(folder, tiers, predictors, documents)
    partial = folder.with_name(f".{folder.name}.partial")
    with told_plainly(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            for tier, source in tiers.items():
                _copy_tier(source, partial / TIERS / tier)
            for document, text in documents.items():
                write_text(partial / document, text)
            predictors.write(partial / CASCADE)
            manifest = _manifest(partial, name, list(tiers), predictors.serves, lineage)
            manifest.write(partial)
            prove(partial)
            signer.sign(partial)
            signer.verify(partial)
            for path in files_of(partial):
                sync(path)
            replace_folder(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _check(folder: Path, tiers: Mapping[str, Path], predictors: Predictors, documents: Mapping[str, str]) -> None:
    for needed in predictors.of(None)["tiers"]:
        if whole_of(needed) not in tiers:
            raise BadRequest(f"The package is to answer with the tier {needed!r}, which is not packed. {nearest(needed, tiers)}")
    for tier in tiers:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", tier):
            raise BadRequest(f"{tier!r} cannot be the name of a tier's folder. Use letters, digits and . _ -, beginning with a letter or digit.")
    for document in documents:
        if len(PurePosixPath(document).parts) != 1 or document in (MANIFEST, SIGNATURE, TIERS, CASCADE, ".", ".."):
            raise BadRequest(f"{document!r} cannot be the name of a document in a package. Use a plain file name such as 'report.json'.")
    if folder.exists() and not (folder / MANIFEST).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadRequest(f"{folder} is there already and is not a package, so it is not replaced. Choose another folder.")


def _copy_tier(source: Path, to: Path) -> None:
    """Copy what serving needs; a learner's checkpoints and measurements beside it stay behind."""
    if not (source / "tier.json").is_file() or not (source / "engine").is_dir():
        raise RunFailed(f"{source} holds no finished tier (tier.json or engine/ is missing). Run the same command again: it goes on from there.")
    to.mkdir(parents=True)
    shutil.copyfile(source / "tier.json", to / "tier.json")
    shutil.copytree(source / "engine", to / "engine", copy_function=shutil.copyfile)


def _manifest(folder: Path, name: str, tiers: list[str], serves: str, lineage: Mapping[str, Any]) -> Manifest:
    digests = {path.relative_to(folder).as_posix(): sha256(path) for path in files_of(folder)}
    return Manifest(
        format=FORMAT,
        penjing=penjing.__version__,
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tiers=[TierEntry(tier, f"{TIERS}/{tier}") for tier in tiers],
        serves=serves,
        task=read_json(folder / TIERS / tiers[0] / "tier.json")["task"],
        model=model_digest(digests),
        digests=digests,
        lineage=dict(lineage),
    )
