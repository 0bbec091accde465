"""Says what this machine can do with Penjing, and what to install for the rest. Changes nothing."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path

import penjing
from penjing.core import plugins
from penjing.core.errors import BadRequest
from penjing.core.machine import Machine, free_disk_bytes
from penjing.security import keys

KINDS = ("sources", "inputs", "cleaners", "tasks", "processors", "learners", "engines", "checks", "sinks")
LIBRARIES = ("numpy", "scipy", "pyarrow", "tokenizers", "openvino", "onnxruntime", "torch", "transformers", "sklearn")

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    fine: bool
    says: str


def examine() -> list[Finding]:
    """Return one finding for each thing looked at."""
    return [*_machine(), *_libraries(), *_plugins(), *_keys()]


def _machine() -> list[Finding]:
    here = Machine.here()
    cores = f"{here.processor}, {here.cores} cores, {'bf16 in hardware' if here.bf16 else 'no bf16 in hardware'}"
    return [
        Finding("penjing", True, f"{penjing.__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"),
        Finding("processor", True, cores),
        Finding("memory", here.memory_bytes > 2e9, f"{here.memory_bytes / 1e9:.1f} GB free"),
        Finding("disk", free_disk_bytes(Path()) > 1e9, f"{free_disk_bytes(Path()) / 1e9:.1f} GB free here"),
    ]


def _libraries() -> list[Finding]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(Finding(name, True, importlib.metadata.version(_DISTRIBUTIONS.get(name, name))))
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding(name, False, f"not installed. Install it with: {plugins.install_line(name)}"))
    return found


def _plugins() -> list[Finding]:
    """Load every plugin, as a run would: what is missing is named with the line that installs it."""
    found = []
    for kind in KINDS:
        usable, missing = [], []
        for name in plugins.names(kind):
            try:
                plugins.load(kind, name)
                usable.append(name)
            except BadRequest as error:
                missing.append(str(error))
        found.append(Finding(kind, bool(usable), ", ".join(usable)))
        found += [Finding("", False, sentence) for sentence in missing]
    return found


def _keys() -> list[Finding]:
    home = keys.home()
    try:
        own = Finding("signing key", True, f"{keys.own_key(home)} in {home}")
    except BadRequest as error:
        own = Finding("signing key", False, str(error))
    trusted = keys.trusted_keys(home)
    return [own, Finding("trusted keys", bool(trusted), ", ".join(map(str, trusted)) or "none: make one with penjing init")]
