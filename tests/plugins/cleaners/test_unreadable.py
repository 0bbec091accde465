from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from PIL import Image

from penjing.core import plugins

unreadable = plugins.load("cleaners", "unreadable")


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").save(file, "JPEG")
    return file.getvalue()


def test_rows_whose_image_cannot_be_decoded_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(jpeg())
    (tmp_path / "cut.jpg").write_bytes(jpeg()[:900])
    values = [jpeg(), jpeg()[:900], b"", b"a text", tmp_path / "good.png", tmp_path / "cut.jpg", tmp_path / "missing.jpg"]
    keep = unreadable([{"image": value, "label": "x"} for value in values], ["image"], "label")
    assert keep.tolist() == [True, False, False, False, True, False, False]


def test_rows_without_images_stay_and_need_no_library() -> None:
    program = (
        "import sys; from penjing.core import plugins; rows = [{'text': 'a', 'n': 1.0}, {'text': None}, {}]; "
        "print(plugins.load('cleaners', 'unreadable')(rows, ['text', 'n'], 'y').tolist(), 'PIL' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[True, True, True] False", done.stderr
