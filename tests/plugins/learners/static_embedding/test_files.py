"""Files of vectors in every form that others write, and what is said of a broken line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from penjing.core.errors import DataError, PlanError
from penjing.core.types import NDArray
from penjing.plugins.learners.static_embedding import files

WORDS = ["the", "pain", "好", "naïve", "\u00a0"]
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS), 4)).astype(np.float32)


def as_text(header: bool = False, end: str = "\n", between: str = " ") -> bytes:
    lines = [between.join([word, *(f"{x:.9g}" for x in vector)]) for word, vector in zip(WORDS, VECTORS, strict=True)]
    return (end.join([*([f"{len(WORDS)} 4"] if header else []), *lines]) + end).encode()


def as_binary(end: bytes = b"") -> bytes:
    return f"{len(WORDS)} 4\n".encode() + b"".join(w.encode() + b" " + v.astype("<f4").tobytes() + end for w, v in zip(WORDS, VECTORS, strict=True))


FORMS = {
    "glove.txt": as_text(),
    "word2vec.txt": as_text(header=True),
    "fasttext.vec": as_text(header=True, end=" \n"),
    "windows.txt": as_text(end="\r\n"),
    "tabs.txt": as_text(between="\t"),
    "word2vec.bin": as_binary(),
    "lines.bin": as_binary(end=b"\n"),
    "glove.txt.gz": gzip.compress(as_text()),
    "word2vec.bin.gz": gzip.compress(as_binary()),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_words_and_vectors(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FORMS[name])
    assert files.words(tmp_path / name) == WORDS
    np.testing.assert_allclose(files.vectors(tmp_path / name, lambda _: True), VECTORS, rtol=1e-6)


@pytest.mark.parametrize("name", ["glove.txt", "word2vec.bin"])
def test_only_what_is_wanted_is_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FORMS[name])
    np.testing.assert_allclose(files.vectors(tmp_path / name, {1, 3}.__contains__), VECTORS[[1, 3]], rtol=1e-6)
    assert len(files.vectors(tmp_path / name, lambda _: False)) == 0


def test_a_word_may_hold_spaces_once_the_dimensions_are_known(tmp_path: Path) -> None:
    """GloVe's largest file has such lines."""
    (tmp_path / "x.txt").write_text("a 1 2 3\n. . . 4 5 6\n")
    assert len(files.vectors(tmp_path / "x.txt", lambda _: True)) == 2


def read(path: Path) -> NDArray:
    return files.vectors(path, lambda _: True)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.txt", b"a 1 2 3\nb 1 2\n", r"x\.txt, line 2: expected a word and 3 numbers, found 2"),
        ("x.txt", b"2 3\na 1 2 3\nb 1 2\n", r"x\.txt, line 3: expected a word and 3 numbers"),
        ("x.txt", b"a 1 2 3\nb 1 two 3\n", r"x\.txt, line 2: .*two.* is not a number"),
        ("x.txt", b"a 1 2 3\nb 1 nan 3\n", r"x\.txt, line 2: .*not finite"),
        ("x.txt", b"a 1 2 3\n\xff 1 2 3\n", r"x\.txt, line 2: byte 0xff is not UTF-8"),
        ("x.txt", b"a 1 2 3\n\nb 1 2 3\n", r"x\.txt, line 2: .*found 0 numbers"),
        ("x.txt", b"once upon a time\n", r"x\.txt, line 1: .*is not a number"),
        ("x.txt", b"", "holds no vectors"),
        ("x.txt", b"0 3\n", "holds no vectors"),
        ("x.txt.gz", b"a 1 2 3\n", r"x\.txt\.gz cannot be read"),
        ("x.txt.gz", gzip.compress(as_text())[:-12], r"x\.txt\.gz cannot be read"),
        ("x.bin", b"a 1 2 3\n", r"x\.bin, line 1: expected the number of words"),
        ("x.bin", as_binary()[:-3], r"x\.bin, word 5 of 5: the file ends here"),
        ("x.bin", as_binary().replace(b"5 4", b"6 4", 1), r"x\.bin, word 6 of 6: the file ends here"),
        ("x.bin", b"1 4\n" + b"x" * 20_000, r"x\.bin, word 1 of 1: its name does not end"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read(tmp_path / name)


def test_a_missing_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_bytes(as_text())
    with pytest.raises(PlanError, match=r"does not exist\. Did you mean 'glove\.txt'"):
        read(tmp_path / "glove.tx")
    with pytest.raises(PlanError, match="does not exist"):
        read(tmp_path / "nowhere" / "glove.txt")
