from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from penjing.core import plugins
from penjing.core.errors import DataError
from penjing.core.types import NDArray

Pixels = plugins.load("processors", "pixels")
RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def noise(width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def pixels(value: Any, size: int = 32, fit: str = "crop") -> NDArray:
    found: NDArray = Pixels(["image"], size, fit).encode([{"image": value}])["pixels"][0]
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    return found


def difference(ours: NDArray, theirs: NDArray) -> float:
    return float(np.abs(ours.astype(float) - theirs.astype(float)).mean())


def png(width: int, height: int, lines: bytes) -> bytes:
    """Return a PNG of 8-bit grey that says it is of some size, whatever its data are."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    parts = (len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big") for name, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"])
def test_every_format_is_read_by_what_it_holds_whatever_its_name(kind: str, tmp_path: Path) -> None:
    data = encoded(noise(), kind)
    path = tmp_path / "wrongly-named.jpg"
    path.write_bytes(data)
    assert np.array_equal(pixels(path), pixels(data))
    assert difference(pixels(data), pixels(encoded(noise()))) < 12  # a GIF has 256 colours, a JPEG loses some


def test_an_image_of_the_size_asked_for_is_not_changed_at_all() -> None:
    square = noise(32, 32)
    for fit in ("crop", "stretch", "pad"):
        assert np.array_equal(pixels(encoded(square), 32, fit), np.asarray(square))


def test_an_image_becomes_a_square_as_the_option_says() -> None:
    halves = Image.new("RGB", (80, 20), RED)
    halves.paste((0, 0, 255), (30, 0, 50, 20))  # the middle fifth or so, which a crop sees alone
    data = encoded(halves)
    assert (pixels(data, 20, "crop") == (0, 0, 255)).all()
    stretched = pixels(data, 20, "stretch")
    assert (stretched[:, 0] == RED).all()
    assert (stretched[:, 10] == (0, 0, 255)).all()
    padded = pixels(data, 20, "pad")
    assert not padded[:7].any()
    assert not padded[13:].any()
    assert (padded[10, 0] == RED).all()


def test_the_options_come_from_the_tier() -> None:
    assert Pixels.options_from([], ["image"], {"size": 16, "fit": "pad", "epochs": 3}) == {"columns": ["image"], "size": 16, "fit": "pad"}
    assert Pixels(**Pixels.options_from([], ["image"], {})) == Pixels(["image"], 64, "crop")
    with pytest.raises(DataError, match=r"One column of images is read, and 2 are named \(a, b\)"):
        Pixels.options_from([], ["a", "b"], {})


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_image_is_turned_as_its_exif_says(turn: int, kind: str) -> None:
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = noise(60, 40)
    lying = upright.transpose(back[turn]) if turn in back else upright
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(lying, kind, exif=exif, **({"quality": 95} if kind in ("JPEG", "WEBP") else {}))
    for fit in ("crop", "stretch", "pad"):
        assert difference(pixels(data, 32, fit), pixels(encoded(upright), 32, fit)) < 4


def test_colours_of_print_are_read_as_colours() -> None:
    assert difference(pixels(encoded(noise().convert("CMYK"), "JPEG", quality=95)), pixels(encoded(noise()))) < 4
    assert difference(pixels(encoded(noise().convert("CMYK"), "TIFF")), pixels(encoded(noise()))) < 1


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_black_and_white_and_palettes_are_read(mode: str) -> None:
    image = noise().convert(mode)
    assert np.array_equal(pixels(encoded(image)), pixels(encoded(image.convert("RGB"))))


def test_grey_of_16_bits_is_scaled_and_not_clipped() -> None:
    slope_HW = np.tile(np.linspace(0, 65535, 32).astype(np.uint16), (32, 1))
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(pixels(encoded(Image.fromarray(slope_HW), kind))[0, :, 0], np.rint(slope_HW[0] / 257))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.linspace(0, 1, 32, dtype=np.float32), np.linspace(0, 255, 32)),
        (np.linspace(0, 200, 32, dtype=np.float32), np.linspace(0, 200, 32)),
        (np.linspace(-1, 1, 32, dtype=np.float32), np.linspace(0, 255, 32)),
        (np.linspace(0, 60000, 32).astype(np.int32), np.linspace(0, 60000, 32) / 257),
        (np.full(32, np.nan, np.float32), np.zeros(32)),
    ],
)
def test_32_bits_a_pixel_are_read_by_the_range_that_holds_them(values: NDArray, expected: NDArray) -> None:
    found = pixels(encoded(Image.fromarray(np.tile(values, (32, 1))), "TIFF"))
    assert np.abs(found[0, :, 0] - expected).max() <= 1


def test_what_is_transparent_lies_on_white() -> None:
    clear = Image.new("RGBA", (40, 40), (*RED, 0))
    clear.paste((*RED, 255), (0, 0, 20, 40))
    for data in (encoded(clear), encoded(clear, "WEBP", lossless=True)):
        found = pixels(data, 40)
        assert (found[:, 0] == RED).all()
        assert (found[:, 39] == WHITE).all()
    assert (pixels(encoded(clear), 20)[:, 12:] == WHITE).all(), "what is under the transparent part does not bleed out of it"
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, *RED])
    assert (pixels(encoded(palette, transparency=1)) == WHITE).all()
    assert (pixels(encoded(palette, transparency=bytes([255, 0]))) == WHITE).all()
    assert (pixels(encoded(Image.new("LA", (8, 8), (0, 128)))) == 127).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_picture_is_read(kind: str) -> None:
    first, *rest = [Image.new("RGB", (20, 20), c) for c in (RED, (0, 0, 255), (0, 255, 0))]
    data = encoded(first, kind, save_all=True, append_images=rest, **({"lossless": True} if kind == "WEBP" else {}))
    assert (pixels(data) == RED).all()
    (look,) = Pixels.looks([data])
    assert look.frames
    assert look.plain
    assert (look.width, look.height) == (20, 20)


def test_a_large_jpeg_is_decoded_small_and_looks_the_same() -> None:
    image = noise(2000, 1500)
    found = pixels(encoded(image, "JPEG", quality=95), 64)
    left = (2000 - 1500) // 2
    plainly = np.asarray(image.crop((left, 0, left + 1500, 1500)).resize((64, 64), Image.Resampling.BICUBIC))
    assert difference(found, plainly) < 2


CUT: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("half", lambda data: data[: len(data) // 2]),
    ("header alone", lambda data: data[:40]),
    ("all but the end", lambda data: data[: int(len(data) * 0.97)]),
]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"])
@pytest.mark.parametrize(("where", "cut"), CUT, ids=[name for name, _ in CUT])
def test_a_truncated_image_is_refused_by_name(kind: str, where: str, cut: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(cut(encoded(noise(200, 150), kind)))
    with pytest.raises(DataError, match=rf"cut.jpg cannot be read as an image: its {kind} data are (broken or )?cut off.*Replace it"):
        pixels(tmp_path / "cut.jpg", 64)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", r"it is empty \(0 bytes\)"),
        (None, "there is no image"),
        (b"hello, world", r"it is a text \('hello, world'…\); JPEG, PNG, BMP, GIF, WebP and TIFF are read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is an SVG drawing"),
        (b"\0\0\0\x18ftypheic", "it is a HEIC photo"),
        ("/etc/passwd", "it is a value of type str, and images come as bytes, which JSON carries as base64"),
        (Path("/nowhere/at/all.png"), "there is no such file"),
        (Path("/"), "there is no such file"),
        (png(20_000, 20_000, bytes(1000)), "it has far more pixels, and at most 100,000,000 are decoded|20,000 x 20,000 pixels"),
        (png(12_000, 9_000, bytes(1000)), "it has 12,000 x 9,000 pixels, and at most 100,000,000 are decoded; make it smaller"),
        (encoded(noise().convert("LAB"), "TIFF"), "its colours are in the Lab space; save it as RGB"),
    ],
    ids=["empty", "missing", "words", "svg", "heic", "str", "no file", "folder", "huge", "large", "lab"],
)
def test_what_is_no_image_is_refused_with_the_reason(value: Any, reason: str) -> None:
    with pytest.raises(DataError, match=f"cannot be read as an image: ({reason})"):
        pixels(value)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    held = png(12_000, 9_000, b"")  # to decode it would find that there are no data
    assert "12,000 x 9,000 pixels" in (Pixels.why_unreadable(held) or "")
    assert "cut off" in (Pixels.why_unreadable(png(1_200, 900, b"")) or "")


def test_damaged_bytes_anywhere_never_end_in_another_error() -> None:
    random = np.random.default_rng(0)
    images = [encoded(noise(), kind) for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")]
    images.append(encoded(noise(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\0\0garbage"))
    for data in images:
        for _ in range(60):
            damaged = np.frombuffer(data, np.uint8).copy()
            damaged[random.integers(0, len(damaged), 4)] = random.integers(0, 256, 4)
            why = Pixels.why_unreadable(damaged.tobytes())
            assert why is None or isinstance(why, str)


def test_an_image_is_named_by_its_row_and_by_its_file() -> None:
    good, bad = encoded(noise()), b"no"
    with pytest.raises(DataError, match="^row 2, column 'image', cannot be read"):
        Pixels(["image"]).encode([{"image": good}, {"image": bad}])
    with pytest.raises(DataError, match="^row 17, cat/3.jpg, cannot be read"):
        Pixels(["image"]).encode([{"image": bad, "penjing_row": 17, "file": "cat/3.jpg"}])


def test_a_row_is_encoded_alike_alone_and_among_others() -> None:
    rows = [{"image": encoded(noise(30 + i, 50 - i, i), ("PNG", "JPEG", "WEBP")[i % 3])} for i in range(20)]
    whole = Pixels(["image"], 24).encode(rows)["pixels"]
    assert whole.shape == (20, 24, 24, 3)
    for i, row in enumerate(rows):
        assert np.array_equal(Pixels(["image"], 24).encode([row])["pixels"][0], whole[i])
    assert Pixels(["image"], 24).encode([])["pixels"].shape == (0, 24, 24, 3)


def test_pillow_does_not_write_warnings_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png(10_000, 9_500, bytes(100)))
    program = (
        "import sys; from pathlib import Path; from penjing.core import plugins; "
        "print(plugins.load('processors', 'pixels').why_unreadable(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "large.png")], capture_output=True, text=True, timeout=60)
    assert "cut off" in done.stdout
    assert not done.stderr
