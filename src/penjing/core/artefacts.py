"""What stages hand on: folders with content digests and lineage, made once.

A stage's result is a folder with `artefact.json` in it. Before a stage works, its *key* (stage, config section, digests of its inputs,
version) is compared with that of the folder already there: equal, and the work is not done again. Work goes on in `.NAME.partial`, whose
`checkpoints/` a killed run finds again when the key still fits, and becomes the result by one rename.

Two digests: `model` covers everything but the subfolder `measured/`, and is the same for the same inputs and seed; `measured` covers that
subfolder, whose figures (seconds, say) differ from run to run.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import penjing
from penjing.core.errors import RunFailed
from penjing.core.files import digest, files_of, read_json, replace_folder, sha256, sync, told_plainly, write_json, write_text

_RECORD = "artefact.json"
_KEY = "key"
CHECKPOINTS = "checkpoints"
"""Subfolder of a stage under way that survives a kill; the stage removes it when it is done."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A finished stage's folder and what is known of it."""

    folder: Path
    stage: str
    key: str
    model: str
    """SHA-256 over names and contents of all files outside `measured/`."""
    measured: str
    inputs: dict[str, str]
    """Lineage: model digests of the artefacts it was made from, by name."""
    seconds: float
    reused: bool = False

    @classmethod
    def open(cls, folder: Path) -> Artefact:
        """Read a finished stage's record. Raises RunFailed where there is none."""
        try:
            return cls(folder=folder, reused=True, **read_json(folder / _RECORD))
        except FileNotFoundError as error:
            raise RunFailed(f"{folder} is not a finished stage. Run 'penjing run' again: it goes on from where it stopped.") from error


def make(folder: Path, stage: str, config: Mapping[str, Any], inputs: Mapping[str, Artefact], work: Callable[[Path], None]) -> Artefact:
    """Return the artefact at `folder`, made by `work(partial folder)` unless it is there already.

    Of an interrupted try with the same key `work` finds the subfolder `checkpoints/` again, and nothing else. Raises RunFailed when the
    machine refuses to write.
    """
    lineage = {name: artefact.model for name, artefact in inputs.items()}
    key = digest([stage, config, lineage, penjing.__version__])
    if (folder / _RECORD).exists() and (found := Artefact.open(folder)).key == key and _whole(found):
        return found
    started = time.monotonic()
    partial = folder.with_name(f".{folder.name}.partial")
    with told_plainly(folder):
        _begin(partial, key)
        work(partial)
        (partial / _KEY).unlink()
        return _finish(partial, folder, stage, key, lineage, time.monotonic() - started)


def _begin(partial: Path, key: str) -> None:
    """Empty `partial`, but for the checkpoints of a killed try with the same key: what else it left may be half a file."""
    same = (partial / _KEY).exists() and (partial / _KEY).read_text() == key
    partial.mkdir(parents=True, exist_ok=True)
    for left in partial.iterdir():
        if not (same and left.name in (_KEY, CHECKPOINTS)):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    write_text(partial / _KEY, key)


def _finish(partial: Path, folder: Path, stage: str, key: str, lineage: dict[str, str], seconds: float) -> Artefact:
    digests = {path.relative_to(partial).as_posix(): sha256(path) for path in files_of(partial)}
    for path in files_of(partial):
        sync(path)
    model, measured = _divided(digests)
    made = Artefact(folder, stage, key, model, measured, lineage, round(seconds, 3))
    record = asdict(made)
    del record["folder"], record["reused"]
    write_json(partial / _RECORD, record)
    write_json(partial / "measured" / "files.json", {name: (partial / name).stat().st_size for name in digests})
    replace_folder(partial, folder)
    return made


def _divided(digests: Mapping[str, str]) -> tuple[str, str]:
    """Return the digest of what stands outside `measured/`, and of what stands in it."""
    measured = {name: d for name, d in digests.items() if name.startswith("measured/")}
    return digest({name: d for name, d in digests.items() if name not in measured}), digest(measured)


def _whole(found: Artefact) -> bool:
    """Return whether every file is as it was when the stage finished; a deleted or a changed one makes the stage run again."""
    try:
        sizes: dict[str, int] = read_json(found.folder / "measured" / "files.json")
        if any((found.folder / name).stat().st_size != size for name, size in sizes.items()):
            return False
        digests = {name: sha256(found.folder / name) for name in sizes}
    except (FileNotFoundError, ValueError):
        return False
    return _divided(digests) == (found.model, found.measured)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run at `folder` alone. Raises RunFailed where another process holds it."""
    with told_plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunFailed(f"{folder} is in use by another penjing. Wait for it to end, or choose another folder with --run.") from error
        yield
