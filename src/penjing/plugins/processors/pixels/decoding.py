"""The bytes of an image file → a square of pixels, by Pillow. Knows no rows.

Colours: grey and palette images become RGB; what is transparent lies on white; 16-bit values are divided by 257, so that the whole range of the
format is kept; 32-bit integers and floats, whose range no format says, are read as 0 to 1, 0 to 255 or 0 to 65,535, whichever first holds all
of them, and otherwise stretched from their least to their greatest. Colour profiles are not applied.

Shapes: S the side of the square; H and W height and width of the image.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from penjing.core.errors import DataError
from penjing.core.pictures import FORMATS, START, described, format_of
from penjing.core.types import NDArray

MOST_PIXELS = 100_000_000
"""Of an image that is decoded: three or four bytes each in memory."""
MOST_BYTES = 1 << 29
"""Of a file that is read."""
_ALONE = 16_000_000
"""Pixels from which an image is decoded while no other such is, so that a batch of them needs no more memory than one."""
_alone = threading.Lock()
_ORIENTATION = 0x0112
"""The EXIF tag."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Unreadable(DataError):
    """Why something is no image, as the end of a sentence that names it."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is remarkable about an image."""

    width: int
    height: int
    frames: bool
    """Whether it holds several pictures, as an animation does; the first is read."""
    plain: bool
    """Whether it is of one colour throughout."""


def pixels(value: Any, size: int, fit: str) -> NDArray:
    """Return the image that `value` (bytes, or the Path of a file) holds as (S, S, 3) uint8 RGB, turned as its EXIF says.

    fit: "crop" (the middle square of it), "stretch" (the whole, out of shape) or "pad" (the whole, with black bars). Raises Unreadable.
    """
    with _opened(value) as image:
        return _squared(image, size, fit)


def look(value: Any) -> Look:
    """Return what is remarkable about the image that `value` holds. Raises Unreadable."""
    with _opened(value) as image:
        width, height = image.size
        # A second picture in a camera's JPEG is a preview of the first.
        frames = image.format != "MPO" and bool(getattr(image, "is_animated", False))
        image.seek(0)
        few = _squared(image, 32, "stretch").astype(int)
        return Look(width, height, frames, bool(np.ptp(few, axis=(0, 1)).max() <= 2))


@contextmanager
def _opened(value: Any) -> Iterator[Image.Image]:
    """Yield the image, not yet decoded. Raises Unreadable whatever goes wrong with it until the block ends."""
    data = _content(value)
    known = format_of(data[:START])
    if not data:
        raise Unreadable("it is empty (0 bytes)")
    if not known:
        raise Unreadable(f"it is {described(data[:START])}; {FORMATS} are read")
    _quiet()
    try:
        with Image.open(BytesIO(data), formats=[known]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise _too_large(f"{image.width:,} x {image.height:,}")
            yield image
    except Unreadable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large("far more") from error
    except MemoryError as error:
        raise Unreadable("there is not memory enough to decode it") from error
    except Exception as error:  # decoders raise every class there is: OSError, SyntaxError, struct.error, IndexError, ValueError
        raise Unreadable(_why(error, known)) from error


def _content(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Path):
        return _file(value)
    if value is None:
        raise Unreadable("there is no image")
    raise Unreadable(f"it is a value of type {type(value).__name__}, and images come as bytes, which JSON carries as base64")


def _file(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise Unreadable("there is no such file")
        if path.stat().st_size > MOST_BYTES:
            raise Unreadable(f"its file has more than {MOST_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"its file cannot be opened ({error.strerror})") from error


def _quiet() -> None:
    """Keep Pillow's own warnings from the terminal: what they say of an image is an error here, or changes nothing."""
    if not any(action == "ignore" and getattr(module, "pattern", "") == r"PIL\." for action, _, _, module, _ in warnings.filters):
        warnings.filterwarnings("ignore", module=r"PIL\.")


def _too_large(found: str) -> Unreadable:
    return Unreadable(f"it has {found} pixels, and at most {MOST_PIXELS:,} are decoded; make it smaller")


def _why(error: Exception, known: str) -> str:
    said = str(error).lower()
    if isinstance(error, EOFError) or "truncat" in said or "not enough" in said or "end of" in said:
        return f"its {known} data are cut off"
    return f"its {known} data are broken or cut off ({type(error).__name__})"


def _squared(image: Image.Image, size: int, fit: str) -> NDArray:
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        # A large JPEG is decoded at a half, a quarter or an eighth of its sides, at least twice as long as what is asked for.
        image.draft(None, (2 * size, 2 * size))
    with _alone if image.width * image.height > _ALONE else nullcontext():
        image.load()
        turn = image.getexif().get(_ORIENTATION)  # after loading: a PNG may say it at its end, and a TIFF is turned already
        coloured = _coloured(image)
        box, shape = _framed(coloured.size, size, fit)
        small = coloured if coloured.size == shape else coloured.resize(shape, Image.Resampling.BICUBIC, box, reducing_gap=2.0)
    if small.mode == "RGBA":
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB")
    if turn in _TURNS:
        small = small.transpose(_TURNS[turn])
    if small.size != (size, size):
        whole = Image.new("RGB", (size, size))
        whole.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
        small = whole
    return np.asarray(small)


def _coloured(image: Image.Image) -> Image.Image:
    """Return `image` as RGB, or as RGBA where parts of it may be transparent."""
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode == "LAB":
        raise Unreadable("its colours are in the Lab space; save it as RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image) -> NDArray:
    """Return the (H, W) uint8 grey values of an image of 16 or 32 bits a pixel."""
    values_HW = np.nan_to_num(np.asarray(image, np.float32), posinf=0.0, neginf=0.0)
    low, high = float(values_HW.min()), float(values_HW.max())
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, next(most for most in (1.0, 255.0, 65535.0) if high <= most and (most > 1 or image.mode == "F"))
    scaled_HW: NDArray = (values_HW - low) * (255 / max(high - low, 1e-9))
    return np.rint(scaled_HW).astype(np.uint8)


def _framed(found: tuple[int, int], size: int, fit: str) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """Return which part of an image of width and height `found` is read, and the width and height that it is brought to."""
    width, height = found
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return (left, top, left + side, top + side), (size, size)
    if fit == "pad":
        factor = size / max(width, height)
        return (0, 0, width, height), (max(1, round(width * factor)), max(1, round(height * factor)))
    return (0, 0, width, height), (size, size)
