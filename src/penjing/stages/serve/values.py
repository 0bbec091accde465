"""What a column takes from outside, told by the type of its example value. Knows JSON values and bytes; not where they came from.

example   takes
str       text; a number counts as its digits, null as a missing value
float     a number, the text of one, or a missing value
bool      true or false, their words, or a missing value
bytes     a file, as base64 or a data: URL
None      anything
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing.core.tables.columns import LARGEST, Column, missing, numbers, numeric_share
from penjing.core.types import Row

_SURROGATE = re.compile("[\ud800-\udfff]")
_DATA_URL = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_NAMES = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", type(None): "null"}
_TRUTH = Column("", "boolean")
_SHOWN = 40
"""Characters of a refused text, or of a file's base64, that are shown."""


class Unfit(Exception):
    """A value that its column does not take; the message goes on after "column 'age' "."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of column: its name for people and pages, its JSON Schema, and the reading of a value. `read` raises Unfit."""

    name: str
    schema: Mapping[str, Any]
    read: Callable[[Any], Any]


def kind_of(like: Any) -> Kind:
    """Return the kind of a column whose example value is `like`."""
    return _KINDS.get(type(like), _KINDS[type(None)])


def is_file(example: Row) -> bool:
    """Return whether a row like `example` is one file and nothing else."""
    return len(example) == 1 and all(isinstance(like, bytes) for like in example.values())


def name_of(value: Any) -> str:
    """Return in words what kind of JSON value `value` is."""
    return _NAMES.get(type(value), "a file")


def as_json(value: Any) -> Any:
    """Return a row's value as JSON takes it: a file, read or still to be read, as base64."""
    if isinstance(value, Path):
        value = value.read_bytes()
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


def shortened(row: Row) -> dict[str, Any]:
    """Return `row` as JSON for people to look at: a long file is cut off."""
    return {column: _cut(as_json(value)) if isinstance(value, bytes) else value for column, value in row.items()}


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _text(value: Any) -> Any:
    if isinstance(value, list | dict | bytes):
        raise Unfit(f"is {name_of(value)}, not text. Put it in quotation marks.")
    return _anything(value)


def _number(value: Any) -> Any:
    if isinstance(value, str):
        # How the column spells its numbers is the processor's to know: 1.234 is a text of one either way.
        if missing(value) or numeric_share([value], ".") or numeric_share([value], ","):
            return value
        raise Unfit(f"is {_cut(value)!r}, which is no number. Send a number, or null where it is missing.")
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise Unfit(f"is {name_of(value)}, not a number. Send a number, or null where it is missing.")
    if value is not None and not abs(value) <= LARGEST:
        raise Unfit("is a number that is too large to compute with. Send a finite one, or null where it is missing.")
    return value


def _boolean(value: Any) -> Any:
    if not isinstance(value, list | dict | bytes) and (missing(value) or not math.isnan(numbers(_TRUTH, [value])[0])):
        return value
    told = repr(_cut(value)) if isinstance(value, str) else name_of(value)
    raise Unfit(f"is {told}, neither true nor false. Send true, false, or null where it is missing.")


def _file(value: Any) -> bytes:
    """Return the file's bytes; bytes themselves, which JSON does not have, are taken as they are."""
    if isinstance(value, str):
        found = _DATA_URL.match(value)
        try:
            value = binascii.a2b_base64(value[found.end() :] if found else value, strict_mode=True)
        except ValueError as error:
            raise Unfit(f"is not base64 ({error}). Send the file's bytes in base64 without line breaks, or as a data: URL in base64.") from error
    if not isinstance(value, bytes):
        raise Unfit(f"is {name_of(value)}, not a file. Send the file's bytes as a text in base64.")
    if not value:
        raise Unfit("is an empty file. Send the file's bytes in base64.")
    return value


def _anything(value: Any) -> Any:
    if isinstance(value, str) and (half := _SURROGATE.search(value)):
        raise Unfit(f"holds half a character (a lone surrogate) at {half.start()}. Send whole ones.")
    return value


_NUMBERS = Kind("number", {"type": ["number", "string", "null"]}, _number)
_KINDS: Mapping[type, Kind] = {
    str: Kind("text", {"type": ["string", "number", "boolean", "null"]}, _text),
    float: _NUMBERS,
    int: _NUMBERS,
    bool: Kind("boolean", {"type": ["boolean", "string", "number", "null"]}, _boolean),
    bytes: Kind("file", {"type": "string", "contentEncoding": "base64"}, _file),
    type(None): Kind("anything", {}, _anything),
}
