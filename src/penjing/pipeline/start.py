"""Makes a machine and a folder ready: a signing key, a first penjing.yaml, its schema for editors."""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import yaml

from penjing.core.config import Section
from penjing.core.data import read, source_of
from penjing.core.errors import BadRequest, nearest
from penjing.core.files import write_text
from penjing.core.protocols import Signer
from penjing.pipeline import presets
from penjing.pipeline.config import Config, read_config, schema
from penjing.security import keys
from penjing.security.signing import ModelSigner
from penjing.stages.prepare.config import DataConfig


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


def write_config(source: Path, target: str | None, folder: Path, preset: str | None = None) -> Path:
    """Write a first penjing.yaml for `source` into `folder`: every key explained, or a `preset`. Raises BadRequest where there is one already."""
    place = folder / "penjing.yaml"
    if place.exists():
        raise BadRequest(f"{place} is there already. Change it, or remove it first.")
    names = list(next(read(source, next(iter(source_of(source).splits(source)), "")), [{}])[0])
    if target is not None and target not in names:
        raise BadRequest(f"{source} has no column {target!r}. {nearest(target, names)}")
    write_text(place, _first(source, target, names) if preset is None else _of_preset(preset, source, target, names))
    read_config(place)
    write_text(folder / "penjing.schema.json", schema())
    return place


def _of_preset(preset: str, source: Path, target: str | None, names: list[str]) -> str:
    """Return the preset with the data named; its own keys under `data:` stay as they are written."""
    said = [f"  source: {_yaml(str(source))}", f"  target: {_yaml(target or 'CHOOSE-A-COLUMN')}"]
    lines = presets.text(preset).splitlines()
    at = next((i + 1 for i, line in enumerate(lines) if line.rstrip() == "data:"), None)
    lines = [*lines[:at], *said, *lines[at:]] if at is not None else ["data:", *said, "", *lines]
    return "\n".join(["# yaml-language-server: $schema=penjing.schema.json", f"# Columns of {source.name}: {', '.join(names)}", *lines]) + "\n"


def _first(source: Path, target: str | None, names: list[str]) -> str:
    """Return a config with the data named, and every other key as a comment that explains it and shows its default."""
    said = {"source": str(source), "target": target or "CHOOSE-A-COLUMN"}
    lines = ["# yaml-language-server: $schema=penjing.schema.json", f"# Columns of {source.name}: {', '.join(names)}", "data:"]
    lines += [f"  {key}: {_yaml(value)}" for key, value in said.items()]
    lines += _explained(DataConfig, "  # ", "  # ", said)
    lines += ["", "# What follows are the defaults; take the '# ' away from what you change, and from the name of its section."]
    for name, described in Config.model_fields.items():
        section = described.annotation
        if isinstance(section, type) and issubclass(section, Section):
            lines += ["", f"# {name}:", *_explained(section, "#   # ", "#   ", {})] if name != "data" else []
        else:
            lines += ["", f"# {' '.join((described.description or '').split())}", f"# {name}: {_yaml(described.default)}"]
    return "\n".join(lines) + "\n"


def _explained(section: type[Section], why: str, key_at: str, said: Container[str]) -> list[str]:
    lines = []
    for key, described in section.model_fields.items():
        if key not in said:
            lines += [f"{why}{' '.join((described.description or '').split())}", f"{key_at}{key}: {_yaml(described.default)}"]
    return lines


def _yaml(value: Any) -> str:
    """Return `value` as it stands behind a key, on one line."""
    return yaml.safe_dump([value], allow_unicode=True, default_flow_style=True, width=1000).strip()[1:-1]


def own_key() -> str:
    """Return this machine's signing key by name and short fingerprint, and where it lies."""
    return f"{keys.own_key(keys.home())} in {keys.home()}"


def trust(public: Path, name: str) -> str:
    """Trust a public key from a PEM file on this machine."""
    return str(keys.trust(keys.home(), public, name))
