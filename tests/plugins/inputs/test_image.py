from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pictures

from penjing.core import plugins
from penjing.core.types import Row

Image = plugins.load("inputs", "image")


def png(image: Pictures.Image, kind: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def photo(seed: int, width: int = 40, height: int = 30) -> Pictures.Image:
    return Pictures.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def test_a_column_of_files_or_of_bytes_is_found() -> None:
    files: list[Row] = [{"image": Path(f"cat/{i}.JPG"), "file": f"cat/{i}.JPG", "age": i} for i in range(5)]
    found = Image.find(files, ["image", "file", "age"], None)
    assert (found.columns, found.fit) == (["image"], 1.0)
    assert found.why == "Images are read from 'image'; name another column with --column."
    held: list[Row] = [{"scan": png(photo(i)), "text": "a long text about it"} for i in range(5)] + [{"scan": b"broken", "text": ""}]
    assert Image.find(held, ["scan", "text"], None).columns == ["scan"]


def test_columns_of_anything_else_are_no_images() -> None:
    rows: list[Row] = [{"text": "cat/1.jpg", "data": b"no image", "list": Path("a.txt"), "n": 3.0, "none": None}]
    found = Image.find(rows, list(rows[0]), None)
    assert (found.columns, found.fit) == ([], 0.0)
    assert Image.find(rows, list(rows[0]), ["text"]).fit == 0.0
    assert Image.find([], [], None).fit == 0.0


def test_of_several_columns_the_one_that_fewest_rows_lack_is_read_and_the_user_is_told() -> None:
    rows: list[Row] = [{"mask": png(photo(i)) if i % 2 else None, "image": png(photo(i))} for i in range(6)]
    found = Image.find(rows, ["mask", "image"], None)
    assert found.columns == ["image"]
    assert found.why == "Images are read from 'image', and not from 'mask'; name another column with --column."
    assert Image.find(rows, ["mask", "image"], ["mask"]).fit == 1.0


def test_strange_images_are_counted_and_named() -> None:
    frames = [Pictures.new("L", (40, 40), shade) for shade in range(3)]
    animated = photo(9).convert("P")
    values = [png(photo(i)) for i in range(6)]
    values += [png(animated, "GIF", save_all=True, append_images=frames), png(photo(1, 40, 8)), png(Pictures.new("RGB", (40, 40), "grey"))]
    values += [png(photo(2))[:200], None]
    rows: list[Row] = [{"image": value, "penjing_row": i} for i, value in enumerate(values, 1)]
    told = Image.examine(rows, ["image"], "label")
    assert told == [
        "Column 'image': of 10 images looked at, 1 (such as row 10) cannot be decoded: drop them with the cleaner 'unreadable' (data.clean), "
        "or replace them.",
        "Column 'image': of 10 images looked at, 1 (such as row 7) hold several pictures, as animations do: only the first is read.",
        "Column 'image': of 10 images looked at, 1 (such as row 8) are less than 16 pixels wide or high: there is little to learn from them.",
        "Column 'image': of 10 images looked at, 1 (such as row 9) are of one colour throughout: check that they are no placeholders, "
        "and remove those that are.",
    ]
    assert Image.examine(rows[:6], ["image"], "label") == []


def test_no_more_than_a_sample_is_looked_at_from_all_over_and_files_are_named() -> None:
    good, bad = png(photo(0, 4, 4)), png(Pictures.new("1", (20, 20)))
    rows: list[Row] = [{"image": good, "file": f"{i}.png"} for i in range(5000)] + [{"image": bad, "file": "last.png", "penjing_row": 5001}]
    told = Image.examine(rows, ["image"], "label")
    assert "of 1,667 images looked at, 1,667 (such as 0.png, 3.png, 6.png) are less than 16 pixels" in told[0]
    rows += [rows[-1]] * 2
    assert "of 1,668 images looked at, 1 (such as last.png in row 5001) are of one colour" in Image.examine(rows, ["image"], "label")[1]


def test_the_made_up_image_can_be_read_and_is_always_the_same() -> None:
    like = Image.like([], ["image"])
    assert like == Image.like([{"image": png(photo(0))}], ["image"])
    picture = Pictures.open(io.BytesIO(like["image"]))
    assert picture.size == (64, 64)
    assert picture.getpixel((10, 20)) == (40, 80, 60)
    assert len(like["image"]) < 1000, "it stands in documents, as base64"


def test_what_is_climbed_by_default_can_stand_in_a_config_and_no_image_recurs() -> None:
    assert json.loads(json.dumps(Image.tiers))[0] == "pixel-linear"
    assert [tier["tune"] for tier in Image.tiers[1:]] == ["frozen", "full"]
    assert not Image.recurs


def test_finding_images_needs_neither_pillow_nor_pyarrow() -> None:
    program = (
        "import sys; from pathlib import Path; from penjing.core import plugins; kind = plugins.load('inputs', 'image'); "
        "kind.find([{'image': Path('a.png')}], ['image'], None); kind.like([], ['image']); print({'PIL', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
