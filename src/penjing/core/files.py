"""Writing so that a reader finds the old file or the new one and never half of one, and naming content by its SHA-256."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penjing.core.errors import PenjingError, RunFailed


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step."""
    with written(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it takes the place of `path` when the block ends well, and vanishes when it does not."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with told_plainly(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            sync(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


_REFUSALS = {
    errno.ENOSPC: "the disk is full. Free some space",
    errno.EDQUOT: "the disk quota is used up. Free some space",
    errno.EFBIG: "the file is larger than this system allows. Raise the limit (ulimit -f)",
    errno.EROFS: "the file system is read-only. Choose another folder, or mount it for writing",
    errno.EACCES: "writing is not permitted. Change its permissions, or choose another folder",
    errno.EPERM: "writing is not permitted. Change its permissions, or choose another folder",
}


@contextmanager
def told_plainly(where: Path) -> Iterator[None]:
    """Turn the machine's refusals to write below `where` into one sentence with the remedy. Raises RunFailed."""
    try:
        yield
    except PenjingError:
        raise
    except Exception as error:
        number = getattr(error, "errno", None) or _told_in_words(error, where)
        if number not in _REFUSALS:
            raise
        place = getattr(error, "filename", None) or where
        raise RunFailed(f"{place}: {_REFUSALS[number]}, then run the same command again: finished stages are kept.") from error


def _told_in_words(error: Exception, where: Path) -> int | None:
    """Return the error number of a refusal that a library words without one, as those written in Rust and C++ do."""
    for number in _REFUSALS:
        if os.strerror(number) in str(error) or f"os error {number})" in str(error):
            return number
    while not where.exists():
        where = where.parent
    return errno.ENOSPC if shutil.disk_usage(where).free < 1 << 16 else None


def sync(path: Path) -> None:
    """Wait until the content of the file `path` is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def replace_folder(new: Path, old: Path) -> None:
    """Put folder `new` in the place of `old`; a kill in between leaves `new` complete under its own name."""
    if old.exists():
        grave = old.with_name(f".{old.name}.replaced")
        shutil.rmtree(grave, ignore_errors=True)
        old.rename(grave)
        new.rename(old)
        shutil.rmtree(grave, ignore_errors=True)
    else:
        new.rename(old)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def files_of(folder: Path) -> list[Path]:
    """Return every file below `folder`, sorted by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
