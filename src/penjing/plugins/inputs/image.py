"""The kind of input that is one image a row: which column holds it, and what is strange about the images. Decodes none itself."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from penjing.core import plugins
from penjing.core.pictures import START, format_of, is_image_name
from penjing.core.protocols import Found
from penjing.core.rows import ROW_ID
from penjing.core.types import Row

SAMPLE = 2000
"""Images that are looked at, from all over the training rows."""
SMALL = 16
"""Pixels of the shorter side below which there is little to see."""
_TOGETHER = 64
"""Images held at a time."""
_SIDE = 64
_BACKBONE = {"learner": "backbone", "model": "efficientnet-lite0"}


@dataclass(frozen=True, slots=True)
class _Seen:
    name: str
    look: Any
    """As the processor `pixels` says it; None of an image that cannot be read."""


class Image:
    tiers: ClassVar[Sequence[Any]] = ["pixel-linear", {**_BACKBONE, "tune": "frozen"}, {**_BACKBONE, "tune": "full"}]
    recurs: ClassVar[bool] = False

    @classmethod
    def find(cls, rows: Sequence[Row], names: Sequence[str], given: Sequence[str] | None) -> Found:
        """See the protocol. Where several columns hold images, the one that fewest rows lack is read."""
        if given is not None:
            return Found(list(given), float(bool(given) and all(_of_images(rows, name) for name in given)), "")
        held = {name: sum(row.get(name) is not None for row in rows) for name in names if _of_images(rows, name)}
        if not held:
            return Found([], 0.0, "no column holds images. Give a folder of images, or a table with a column that names image files beside it.")
        chosen = max(held, key=lambda name: held[name])
        others = ", ".join(repr(name) for name in held if name != chosen)
        why = f"Images are read from {chosen!r}" + (f", and not from {others}" if others else "") + "; name another column with --column."
        return Found([chosen], 1.0, why)

    @classmethod
    def examine(cls, rows: Sequence[Row], columns: Sequence[str], target: str) -> list[str]:
        """See the protocol. Looks at up to SAMPLE images, a few at a time."""
        step = max(1, -(-len(rows) // SAMPLE))
        chosen = (row for i, row in enumerate(rows) if i % step == 0)
        seen: dict[str, list[_Seen]] = {column: [] for column in columns}
        while few := list(islice(chosen, _TOGETHER)):
            for column in columns:
                held = [row for row in few if row.get(column) is not None]
                looks = plugins.load("processors", "pixels").looks(row[column] for row in held)
                seen[column] += [_Seen(_name(row), look) for row, look in zip(held, looks, strict=True)]
        return [sentence for column, found in seen.items() for sentence in _strange(found, column)]

    @classmethod
    def like(cls, rows: Sequence[Row], columns: Sequence[str]) -> dict[str, Any]:
        """See the protocol. Always the same small image of coloured slopes, whatever the rows."""
        return dict.fromkeys(columns, _png())


def _of_images(rows: Sequence[Row], name: str) -> bool:
    """Return whether most of what a column holds are images, some of which may be broken, and nothing in it but bytes and files."""
    values = [value for row in rows if (value := row.get(name)) is not None]
    if not values or not all(isinstance(value, bytes | Path) for value in values):
        return False
    return sum(is_image_name(v.name) if isinstance(v, Path) else bool(format_of(v[:START])) for v in values) > len(values) / 2


def _strange(seen: Sequence[_Seen], column: str) -> list[str]:
    found: dict[str, Callable[[Any], bool]] = {
        "cannot be decoded: drop them with the cleaner 'unreadable' (data.clean), or replace them": lambda look: look is None,
        "hold several pictures, as animations do: only the first is read": lambda look: look is not None and look.frames,
        f"are less than {SMALL} pixels wide or high: there is little to learn from them": lambda look: (
            look is not None and min(look.width, look.height) < SMALL
        ),
        "are of one colour throughout: check that they are no placeholders, and remove those that are": lambda look: look is not None and look.plain,
    }
    such = {what: [one.name for one in seen if is_so(one.look)] for what, is_so in found.items()}
    return [
        f"Column {column!r}: of {len(seen):,} images looked at, {len(names):,} (such as {', '.join(names[:3])}) {what}."
        for what, names in such.items()
        if names
    ]


def _name(row: Row) -> str:

    number = f"row {row[ROW_ID]}" if ROW_ID in row else ""
    return f"{row['file']}{' in ' if number else ''}{number}" if isinstance(row.get("file"), str) else number or "one without a number"


def _png() -> bytes:
    """Return a PNG of slopes in three colours, each pixel told by its difference from the one before (W3C, Portable Network Graphics, 9.2)."""
    lines = b"".join(b"\1" + bytes((0, 4 * y, 2 * y)) + bytes((4, 0, 2)) * (_SIDE - 1) for y in range(_SIDE))
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big") for name, data in chunks
    )
