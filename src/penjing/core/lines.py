"""Reads text files whose faults must be named by line: encodings, broken bytes."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from penjing.core.errors import DataError

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@contextmanager
def opened(path: Path, encoding: str) -> Iterator[TextIO]:
    """Open `path` for reading, in `encoding` or the one its byte-order mark names. Raises DataError with the line of a broken byte."""
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise DataError(f"data.encoding is {encoding!r}, which Python does not know. Usual ones: utf-8, gb18030, windows-1252, utf-16.") from error
    try:
        with path.open("rb") as file:
            start = file.read(4)
        marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), encoding)
        with path.open(encoding=marked, newline="") as text:
            yield text
    except UnicodeDecodeError as error:
        raise DataError(_broken(path, marked)) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Check that it is a file and that you may read it.") from error


def _broken(path: Path, encoding: str) -> str:
    """Return a sentence that names the first line which is not `encoding`, and what the file may be instead."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                byte = f"byte 0x{line[error.start]:02x} at position {error.start + 1}"
                other = _guess(line)
                remedy = f"It reads as {other}: save the whole file as UTF-8, or, if all of it is {other}, add --set data.encoding={other}."
                return f"{path}, line {number}: {byte} is not {encoding}. {remedy}"
    return f"{path} is not {encoding}. Save it as UTF-8, or name its encoding with --set data.encoding=NAME."


def _guess(line: bytes) -> str:
    for name in ("gb18030", "windows-1252"):
        try:
            text = line.decode(name)
        except UnicodeDecodeError:
            continue
        if name == "windows-1252" or sum("一" <= c <= "鿿" for c in text) > len(text) / 4:
            return name
    return "latin-1"
