"""Image files in folders, one folder a class: FOLDER/cat/1.jpg; or, where the data come divided, FOLDER/train/cat/1.jpg.

Folders inside that of a class belong to it. Images that lie in no folder, and a single image file, have no label: they can be asked about. Hidden
files, and files that are no images by their name, are passed over. Opens no image.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import ClassVar

from penjing.core.errors import DataError
from penjing.core.pictures import SUFFIXES, confined, is_image_name, shown
from penjing.core.types import Row

CHUNK = 4096
LABEL = "label"
_SPLITS = {
    **{name: name for name in ("train", "validation", "calibration", "test")},
    **dict.fromkeys(("val", "valid", "dev"), "validation"),
    "training": "train",
    "testing": "test",
}
_TABLES = (".parquet", ".arrow", ".csv", ".tsv", ".jsonl")
_MOST = 20_000
"""Entries among which an image is looked for before a folder is taken to hold none."""


class ImageFolder:
    target: ClassVar[str] = "label"
    """What is predicted where the user names no other column: the class that a folder is called."""

    @classmethod
    def matches(cls, path: Path) -> int:
        """See the protocol. A folder of folders without data files counts by its form, so that its lack of images is named when it is read."""
        if path.is_file():
            return int(is_image_name(path.name))
        if not path.is_dir() or any(f.suffix in _TABLES for f in [*path.glob("metadata.*"), *path.glob("*/metadata.*")]):
            return 0  # the source image-table reads it
        names = [name for _, name in zip(range(_MOST), _names(path), strict=False)]
        if any(map(is_image_name, names)):
            return 1 if any(name.endswith((".parquet", ".arrow")) for name in names) else 2
        return int(bool(names) and bool(_folders(path)) and not any(name.lower().endswith(_TABLES) for name in names))

    @classmethod
    def splits(cls, path: Path) -> list[str]:
        found = _divided(path)
        return [name for name in ("train", "validation", "calibration", "test") if name in found]

    @classmethod
    def read(cls, path: Path, split: str, encoding: str) -> Iterator[list[Row]]:
        """Yield {"image": Path, "file": its name within `path`, "label": its class's folder}; without label where there are no classes.

        Raises DataError for a folder without images, a class without any, and a link that leaves the folder.
        """
        if path.is_file():
            yield [{"image": path, "file": shown(path.name)}]
            return
        _checked(path, path)
        divided = _divided(path)
        folders = divided[split] if split else list(chain(*divided.values())) or [path]
        rows = [row for folder in folders for row in _rows(path, folder, whole=split in ("", "train"))]
        if not rows:
            raise DataError(_without(path))
        if divided and not any(LABEL in row for row in rows):
            raise DataError(
                f"{folders[0]} holds images, but no folders of classes, as {path / 'train'} does. Put each image into the folder of its class; "
                "images without a class can be given as data.unlabelled, or to penjing predict, if they lie elsewhere."
            )
        for start in range(0, len(rows), CHUNK):
            yield rows[start : start + CHUNK]


def _divided(path: Path) -> dict[str, list[Path]]:
    """Return the folders of each split: where all folders are called as splits are, and that to train on holds folders itself."""
    found: dict[str, list[Path]] = {}
    for folder in _folders(path):
        found.setdefault(_SPLITS.get(folder.name.lower(), ""), []).append(folder)
    classes = any(_folders(folder) for folder in found.get("train", []))
    return found if classes and "" not in found else {}


def _rows(root: Path, folder: Path, whole: bool) -> list[Row]:
    """Return the rows of the images in `folder`, by name. whole: whether every class must have images."""
    rows: list[Row] = [_row(root, file, None) for file in _images(root, folder, deep=False)]
    for inner in _folders(folder):
        files = list(_images(root, inner, deep=True))
        if not files and whole and any(_names(inner)):
            raise DataError(f"{inner} holds no image: {_others(inner)}. Put images of the class {inner.name!r} into it, or remove it.")
        if not files and whole:
            raise DataError(f"{inner} is empty. Put images of the class {inner.name!r} into it, or remove it.")
        rows += [_row(root, file, inner.name) for file in files]
    return rows


def _row(root: Path, file: Path, label: str | None) -> Row:
    row = {"image": file, "file": shown(file.relative_to(root).as_posix())}
    return row if label is None else {**row, LABEL: shown(label)}


def _images(root: Path, folder: Path, deep: bool) -> Iterator[Path]:
    """Yield the image files in `folder`, and in its folders where `deep`, by name. Raises as `_checked` does."""
    entries = _checked(root, folder)
    for entry in entries:
        if entry.is_file() and is_image_name(entry.name):
            yield Path(entry.path)
    for entry in entries:
        if deep and entry.is_dir(follow_symlinks=False):
            yield from _images(root, Path(entry.path), deep)


def _checked(root: Path, folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in `folder`. Raises DataError for a link that leaves `root`."""
    entries = _entries(folder)
    for entry in entries:
        if entry.is_symlink():
            confined(root, Path(entry.path).relative_to(root), str(root))
    return entries


def _folders(folder: Path) -> list[Path]:
    """Return the folders in `folder`. A link to one is passed over: what it leads to is in the data already, or must not be."""
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]


def _names(folder: Path) -> Iterator[str]:
    """Yield the names of all files below `folder`."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _names(Path(entry.path))
        else:
            yield entry.name


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in `folder`, by name, without what is hidden. Raises DataError where it may not be read."""
    try:
        with os.scandir(folder) as found:
            return sorted((e for e in found if not e.name.startswith((".", "__MACOSX"))), key=lambda e: e.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}. Check that you may read it.") from error


def _without(path: Path) -> str:
    return f"{path} holds no images: {_others(path)}. Images are files that end in {', '.join(sorted(SUFFIXES))}."


def _others(path: Path) -> str:
    endings = Counter(Path(name).suffix.lower() or "no ending" for name in _names(path))
    return "there are " + ", ".join(f"{n:,} files with {ending}" for ending, n in endings.most_common(3)) if endings else "it is empty"
