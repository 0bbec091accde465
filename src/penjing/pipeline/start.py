"""Makes a machine and a folder ready: a signing key, a first penjing.yaml, its schema for editors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from penjing.core.data import read, source_of
from penjing.core.errors import BadRequest, nearest
from penjing.core.files import write_text
from penjing.core.protocols import Signer
from penjing.pipeline.config import Config, schema
from penjing.security import keys
from penjing.security.signing import ModelSigner


def signer() -> Signer:
    """Return what signs with this machine's key and verifies by the keys it trusts."""
    return ModelSigner(keys.home())


def make_key(say: Callable[[str], None]) -> None:
    """Make a signing key where this machine has none, and tell `say`."""
    home = keys.home()
    try:
        keys.own_key(home)
    except BadRequest:
        say(f"Made a signing key: {keys.make_key(home)} in {home}. Packages signed with it are trusted on this machine.")


def write_config(source: Path, target: str | None, folder: Path) -> Path:
    """Write a first penjing.yaml for `source` into `folder`, every key explained. Raises BadRequest where there is one already."""
    place = folder / "penjing.yaml"
    if place.exists():
        raise BadRequest(f"{place} is there already. Change it, or remove it first.")
    names = list(next(read(source, next(iter(source_of(source).splits(source)), "")), [{}])[0])
    if target is not None and target not in names:
        raise BadRequest(f"{source} has no column {target!r}. {nearest(target, names)}")
    write_text(place, _first(source, target, names))
    write_text(folder / "penjing.schema.json", schema())
    return place


def _first(source: Path, target: str | None, names: list[str]) -> str:
    """Return a config in which every section but `data` is a comment that shows its defaults."""
    head = "# yaml-language-server: $schema=penjing.schema.json\n"
    head += f"# Columns of {source.name}: {', '.join(names)}\n"
    head += yaml.safe_dump({"data": {"source": str(source), "target": target or "CHOOSE-A-COLUMN"}}, sort_keys=False, allow_unicode=True)
    defaults = Config.model_validate({"data": {"source": str(source)}}).model_dump(mode="json")
    del defaults["data"]["source"], defaults["data"]["target"]
    lines = yaml.safe_dump(defaults, sort_keys=False, allow_unicode=True).splitlines()
    return head + "\n# What follows are the defaults; take the '# ' away from what you change.\n" + "".join(f"# {line}\n" for line in lines)


def own_key() -> str:
    """Return this machine's signing key by name and short fingerprint, and where it lies."""
    return f"{keys.own_key(keys.home())} in {keys.home()}"


def trust(public: Path, name: str) -> str:
    """Trust a public key from a PEM file on this machine."""
    return str(keys.trust(keys.home(), public, name))
