"""What image files look like from outside: their names, their first bytes, and where they may lie. Decodes nothing, and needs no library for it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from penjing.core.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
"""Endings, in small letters, of the files that are taken for images."""
FORMATS = "JPEG, PNG, BMP, GIF, WebP and TIFF"
START = 2048
"""Bytes from the start of a file by which its format is known."""
_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_OTHER = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"8BPS": "a Photoshop file",
    b"\0\0\x01\0": "an icon file",
    b"\0\0\0\x0cjP": "a JPEG 2000 image",
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cJXL": "a JPEG XL image",
    b"%!PS": "a PostScript document",
}
_BRANDS = {b"avif": "an AVIF image", b"avis": "an AVIF image", b"heic": "a HEIC photo", b"heix": "a HEIC photo", b"mif1": "a HEIC photo"}


def is_image_name(name: str) -> bool:
    """Return whether a file of this name is taken for an image."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def format_of(start: bytes) -> str:
    """Return "JPEG", "PNG", "BMP", "GIF", "WEBP" or "TIFF" by the first bytes of a file, whatever its name; empty where it is none of them."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    # Two letters are a short proof: a bitmap also says how far its pixels are from its start, which is less than a text would give.
    if start[:2] == b"BM" and (len(start) < 14 or int.from_bytes(start[10:14], "little") > 1 << 16):
        return ""
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


def described(start: bytes) -> str:
    """Return in a few words what a file that is no image looks like, by its first bytes."""
    known = next((words for magic, words in _OTHER.items() if start.startswith(magic)), None)
    if known:
        return known
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12], "a video")
    if start[128:132] == b"DICM":
        return "a DICOM file"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, whose file was never fetched"
    return _text(start) or f"nothing known (it begins with the bytes {start[:8].hex(' ')})"


def _text(start: bytes) -> str:
    try:
        words = start.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data" or not error.start:
            return ""
        words = start[: error.start].decode("utf-8-sig").strip()
    if not words.isprintable() and any(c < " " and c not in "\n\r\t" for c in words):
        return ""
    if "<svg" in words:
        return "an SVG drawing"
    if words[:1] == "<":
        return "a page of HTML or XML"
    return f"a text ({words[:24]!r}…)" if words else "nothing but blanks"


def confined(folder: Path, name: str | Path, where: str) -> Path:
    """Return `folder / name`. Raises DataError, which begins with `where`, if that leaves the folder, by its name or by a link."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        reason = f"is a link to {path.resolve()}, which" if path.is_symlink() and not Path(name).is_absolute() else "is a path that"
        raise DataError(f"{where}: {str(name)!r} {reason} leaves the folder {folder}. Copy the file into the folder.")
    return path


def shown(name: str) -> str:
    """Return a file's name as text that can be stored: bytes of it that are no Unicode are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
