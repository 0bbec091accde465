"""Reads word vectors that others learnt: GloVe and word2vec text (.txt, .vec; with or without a first line of sizes) and word2vec binary (.bin).

Knows nothing of rows or of how words are told apart. A name that ends in .gz is unpacked on the way. A file is read as a stream, and only
the vectors that are asked for are kept.

Layout of the binary form: a line "WORDS DIMENSIONS", then for each word its bytes, a space, its float32 numbers (little endian) and, from
some writers, a line break (word2vec.c, Mikolov et al. 2013).

Shapes: K words kept, D numbers in a vector.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from penjing.core.errors import DataError, PlanError, nearest
from penjing.core.types import NDArray

_LONGEST_WORD = 10_000
"""Bytes; a longer one means that the file is not what its name says."""
_REMEDY = "Fetch the file again, or name another."


def words(path: Path) -> list[str]:
    """Return all words of the file, in their order. Raises PlanError where it is missing, DataError with the line that is broken."""
    return [word for word, _ in _entries(path)]


def vectors(path: Path, wanted: Callable[[int], bool]) -> NDArray:
    """Return (K, D) float32, the vectors of the words whose place in the file is `wanted`, in their order. Raises as `words` does."""
    kept = [read() for place, (_, read) in enumerate(_entries(path)) if wanted(place)]
    return np.stack(kept) if kept else np.zeros((0, 1), np.float32)


_Entry = tuple[str, Callable[[], NDArray]]
"""A word, and what reads its vector."""


def _entries(path: Path) -> Iterator[_Entry]:
    if not path.is_file():
        beside = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        raise PlanError(f"The file of vectors {path} does not exist. {nearest(path.name, beside)}")
    binary = path.name.removesuffix(".gz").endswith(".bin")
    with _opened(path) as file:
        some = False
        for entry in _binary(file, path) if binary else _text(file, path):
            some = True
            yield entry
    if not some:
        raise DataError(f"{path} holds no vectors. {_REMEDY}")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield file  # type: ignore[misc]  # a GzipFile reads as a BinaryIO does
    except (OSError, EOFError) as error:  # gzip's own errors are among them
        raise DataError(f"{path} cannot be read: {error}. {_REMEDY}") from error


def _text(file: BinaryIO, path: Path) -> Iterator[_Entry]:
    dimensions = 0
    for number, line in enumerate(file, 1):
        where = f"{path}, line {number}"
        parts = line.split() if not dimensions else line.rsplit(None, dimensions)
        if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
            dimensions = int(parts[1])
            continue
        dimensions = dimensions or len(parts) - 1
        if dimensions < 2 or len(parts) != dimensions + 1:
            raise DataError(f"{where}: expected a word and {max(dimensions, 2)} numbers, found {max(len(line.split()) - 1, 0)} numbers. {_REMEDY}")
        yield _word(parts[0], where), lambda numbers=parts[1:], where=where: _parsed(numbers, where)  # type: ignore[misc]


def _parsed(numbers: list[bytes], where: str) -> NDArray:
    try:
        vector: NDArray = np.array(numbers).astype(np.float32)
    except ValueError as error:
        raise DataError(f"{where}: {str(error).partition(':')[2].strip() or 'a field'} is not a number. {_REMEDY}") from error
    return _finite(vector, where)


def _binary(file: BinaryIO, path: Path) -> Iterator[_Entry]:
    header = file.readline(_LONGEST_WORD).split()
    if len(header) != 2 or not all(part.isdigit() for part in header) or not 2 <= int(header[1]) <= 1 << 16:
        raise DataError(f"{path}, line 1: expected the number of words and of dimensions, as word2vec writes them. {_REMEDY}")
    count, dimensions = int(header[0]), int(header[1])
    for number in range(1, count + 1):
        where = f"{path}, word {number} of {count}"
        word = _until_space(file, where)
        raw = file.read(4 * dimensions)
        if len(raw) < 4 * dimensions:
            raise DataError(f"{where}: the file ends here. {_REMEDY}")
        yield _word(word, where), lambda raw=raw, where=where: _finite(np.frombuffer(raw, "<f4"), where)  # type: ignore[misc]


def _until_space(file: BinaryIO, where: str) -> bytes:
    word = bytearray()
    while (byte := file.read(1)) != b" ":
        if not byte or len(word) == _LONGEST_WORD:
            raise DataError(f"{where}: {'the file ends here' if not byte else 'its name does not end'}. {_REMEDY}")
        word += byte
    return bytes(word).lstrip(b"\n")


def _word(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: byte 0x{raw[error.start]:02x} is not UTF-8. Save the file as UTF-8.") from error


def _finite(vector: NDArray, where: str) -> NDArray:
    if not np.isfinite(vector).all():
        raise DataError(f"{where}: its vector has numbers that are not finite. {_REMEDY}")
    return vector
