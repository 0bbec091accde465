"""Names of models → folders on this machine. Light: no torch, and no network unless the user names the hub.

`package:NAME` is a model inside an installed Python package, `path:FOLDER` a folder, `hf:REPO[@REVISION]` a repository of the hub. A bare
name is looked up among the packaged models, then as a folder, then, where it holds a "/", on the hub. Knows no learner: which models come
packaged, and what a folder must hold, is told by whoever asks.
"""

from __future__ import annotations

import importlib.util
import json
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing.core.errors import MissingLibrary, PlanError, nearest


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model that comes inside a Python package."""

    name: str
    package: str
    subfolder: str
    install: str
    about: str

    @property
    def folder(self) -> Path | None:
        """Where it is, or None where its package is not installed. Nothing of the package is run."""
        spec = importlib.util.find_spec(self.package)
        return Path(spec.origin).parent / self.subfolder if spec and spec.origin else None


@dataclass(frozen=True, slots=True)
class Models:
    """The models that a learner can begin with."""

    packaged: Sequence[Packaged]
    """Those that come inside a Python package."""
    checked: Callable[[Path, str], Path]
    """Returns a folder, found by a name, when all that is read of it is there. Raises PlanError otherwise."""
    files: Sequence[str]
    """Patterns of what is fetched from the hub: neither code nor pickles."""

    def resolve(self, name: str) -> Path:
        """Return the checked folder of the model that `name` means. Raises PlanError, or MissingLibrary for the hub's client."""
        kind, colon, rest = name.partition(":")
        if colon and kind in ("package", "path", "hf"):
            return self.checked({"package": self._package, "path": _path, "hf": self._hub}[kind](rest), name)
        if any(known.name == name for known in self.packaged):
            return self.checked(self._package(name), name)
        if Path(name).expanduser().is_dir():
            return self.checked(_path(name), name)
        if "/" in name and not name.startswith((".", "/", "~")):
            return self.checked(self._hub(name), name)
        offer = nearest(name, self._names)
        raise PlanError(f"The model {name!r} is neither a packaged model nor a folder. {offer} Or name it as path:FOLDER or hf:REPO.")

    @property
    def _names(self) -> list[str]:
        return [known.name for known in self.packaged]

    def _package(self, name: str) -> Path:
        for known in self.packaged:
            if name in (known.name, known.package):
                if known.folder is None:
                    raise PlanError(f"The model {known.name!r} is not installed. Install it with: {known.install}")
                return known.folder
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        if spec is None or spec.origin is None:
            raise PlanError(f"No installed Python package holds the model {name!r}. {nearest(name, self._names)}")
        home = Path(spec.origin).parent
        return next((path.parent for path in sorted(home.glob("**/config.json"))), home)

    def _hub(self, name: str) -> Path:
        """Return the snapshot of the repository: the one already on this machine, or else fetched."""
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read once, when the client is imported
        try:
            import huggingface_hub
        except ModuleNotFoundError as error:
            raise MissingLibrary(
                f"The model 'hf:{name}' needs the library 'huggingface_hub'. Install it with: pip install 'penjing[train]'"
            ) from error
        repo, _, revision = name.partition("@")
        for at_hand in (True, False):
            try:
                folder = Path(
                    huggingface_hub.snapshot_download(repo, revision=revision or None, allow_patterns=list(self.files), local_files_only=at_hand)
                )
                if weights(folder) or not at_hand:
                    return folder
            except Exception as error:  # the client raises classes of three libraries for what is one thing here: it is not to be had
                reason = error
        raise PlanError(
            f"The model 'hf:{name}' cannot be fetched: {str(reason).strip().splitlines()[0]} "
            "Check the name and the network, or fetch its folder elsewhere and name it as path:FOLDER."
        ) from reason


def weights(folder: Path) -> list[Path]:
    """Return the files of weights in `folder`, sorted by name."""
    return sorted(folder.glob("model*.safetensors"))


def config(folder: Path) -> dict[str, Any]:
    """Return the model's config.json. Raises PlanError where it is broken."""
    try:
        described: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise PlanError(f"{folder / 'config.json'} is not valid JSON: {error}. Fetch the model's folder again.") from error
    return described


def shapes(folder: Path) -> dict[str, list[int]]:
    """Return the shape of every weight by its name, from the headers of the safetensors files (their documentation, "Format")."""
    found: dict[str, list[int]] = {}
    for path in weights(folder):
        try:
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(min(length, 100_000_000)))
        except (struct.error, ValueError) as error:
            raise PlanError(f"{path} is not a safetensors file: {error}. Fetch the model's folder again.") from error
        found |= {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
    return found


def _path(name: str) -> Path:
    folder = Path(name).expanduser()
    if not folder.is_dir():
        beside = [path.name for path in folder.parent.glob("*/")] if folder.parent.is_dir() else []
        raise PlanError(f"The model folder {folder} does not exist. {nearest(folder.name, beside)}")
    return folder.resolve()
