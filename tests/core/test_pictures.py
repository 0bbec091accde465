from __future__ import annotations

from pathlib import Path

import pytest

from penjing.core.errors import DataError
from penjing.core.pictures import confined, described, format_of, is_image_name, shown


def test_a_format_is_known_by_its_first_bytes_and_not_by_a_name() -> None:
    assert format_of(b"\xff\xd8\xff\xe0") == "JPEG"
    assert format_of(b"RIFF\x00\x00\x00\x00WEBPVP8 ") == "WEBP"
    assert format_of(b"RIFF\x00\x00\x00\x00WAVEfmt ") == ""
    assert format_of(b"BM" + bytes(8) + (54).to_bytes(4, "little")) == "BMP"
    assert format_of(b"BMW is a maker of cars") == ""
    assert format_of(b"") == ""


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b'<?xml version="1.0"?>\n<svg width="1">', "an SVG drawing"),
        (b"<!DOCTYPE html>", "a page of HTML or XML"),
        (b"\0\0\0\x18ftypheic", "a HEIC photo"),
        (b"\0\0\0\x18ftypavif", "an AVIF image"),
        (b"\0\0\0\x18ftypisom", "a video"),
        (b"%PDF-1.7", "a PDF document"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, whose file was never fetched"),
        ("猫" * 20 + "文", "a text ('猫"),
        ("猫".encode()[:2] + b"\xff\xff\xff", "nothing known (it begins with the bytes e7 8c ff ff ff)"),
        (b"a text\0with a zero", "nothing known"),
    ],
)
def test_what_is_no_image_is_said_in_words(start: bytes | str, words: str) -> None:
    assert words in described(start if isinstance(start, bytes) else start.encode())


def test_a_text_cut_off_within_a_character_is_still_a_text() -> None:
    assert described("文字".encode()[:-1]).startswith("a text")


def test_names_of_images_end_as_images_do_in_small_or_capital_letters() -> None:
    assert is_image_name("a/b.JPG")
    assert is_image_name("b.tiff")
    assert not is_image_name("jpg")
    assert not is_image_name("a.jpg.txt")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "inner/../../secret.png"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"row 3: .* is a path that leaves the folder .*Copy the file into the folder"):
        confined(tmp_path / "data", name, "row 3")


def test_a_link_that_leaves_the_folder_is_refused_and_one_within_is_not(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").touch()
    (tmp_path / "secret").touch()
    (tmp_path / "data" / "out.png").symlink_to(tmp_path / "secret")
    (tmp_path / "data" / "in.png").symlink_to("a.png")
    assert confined(tmp_path / "data", "in.png", "here").is_file()
    with pytest.raises(DataError, match=r"'out.png' is a link to .*/secret, which leaves the folder"):
        confined(tmp_path / "data", "out.png", "here")


def test_a_name_that_is_no_unicode_can_be_stored() -> None:
    assert shown(b"caf\xe9.jpg".decode("utf-8", "surrogateescape")) == "caf\ufffd.jpg"
