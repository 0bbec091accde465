"""Opens the user's data whatever its format, through the source plugin that knows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penjing.core import plugins
from penjing.core.errors import DataError
from penjing.core.protocols import Source
from penjing.core.types import Row


def source_of(path: Path) -> type[Source]:
    """Return the source that reads `path`. Raises DataError where it does not exist or no source knows it."""
    if not path.exists():
        raise DataError(f"{path} does not exist. Check the name{_beside(path)}")
    found: list[type[Source]] = [plugins.load("sources", name) for name in plugins.names("sources")]
    best = max(found, key=lambda source: int(source.matches(path)))
    if best.matches(path):
        return best
    raise DataError(f"{path}: no source reads this kind of file. There is: {', '.join(plugins.names('sources'))}.")


def read(path: Path, split: str = "", encoding: str = "utf-8") -> Iterator[list[Row]]:
    """Yield the rows of `path`, some thousand at a time. Raises DataError with file and line."""
    return source_of(path).read(path, split, encoding)


def _beside(path: Path) -> str:
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}."
    names = sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("."))[:8]
    return f"; beside it there is: {', '.join(names)}." if names else "; its folder is empty."
