"""Answering whole files: what is written of each kind of value, and that it streams."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from penjing.core.errors import BadRequest, DataError
from penjing.core.protocols import Silent
from penjing.core.types import Prediction, Row
from penjing.plugins.processors.pixels.processor import Pixels
from penjing.stages.predict import CHUNK, as_line, predict


@dataclass
class Lengths:
    """A predictor: says how long the value of each row's column is."""

    column: str = "text"
    name: str = "lengths"
    chunks: list[int] = field(default_factory=list)

    @property
    def task(self) -> Any:
        return SimpleNamespace(example={self.column: ""}, target="label")

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        self.chunks.append(len(rows))
        return [{"label": len(str(row[self.column])), "scores": {"a": 1.0}, "reasons": [{"column": "x", "value": float("nan")}]} for row in rows]

    def warm(self) -> None: ...

    def outputs(self, rows: Sequence[Row]) -> Any: ...


def lines(path: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return [json.loads(line, parse_constant=refuse) for line in path.read_text(encoding="utf-8").splitlines()]


def answered(source: Path, output: Path, predictor: Lengths | None = None) -> int:
    return predict(predictor or Lengths(), source, output, "utf-8", Silent())


def test_a_table_is_answered_in_chunks_and_in_order(tmp_path: Path) -> None:
    count = 2 * CHUNK + 100
    (tmp_path / "in.csv").write_text("text,label\n" + "".join(f"{'x' * (n % 7)},y\n" for n in range(count)))
    predictor = Lengths()
    assert answered(tmp_path / "in.csv", tmp_path / "out.jsonl", predictor) == count
    assert [line["predicted_label"] for line in lines(tmp_path / "out.jsonl")] == [n % 7 for n in range(count)]
    assert max(predictor.chunks) == CHUNK


def test_bytes_are_left_out_and_what_json_does_not_have_is_null(tmp_path: Path) -> None:
    table = {"text": ["a", "bc"], "picture": [b"\x89PNG", b"\x00"], "price": [float("nan"), 2.5], "inner": [{"bytes": b"12345"}, {"bytes": b""}]}
    pq.write_table(pa.table(table), tmp_path / "in.parquet")
    answered(tmp_path / "in.parquet", tmp_path / "out.jsonl")
    first, second = lines(tmp_path / "out.jsonl")
    assert "picture" not in first
    assert (first["price"], second["price"]) == (None, 2.5)
    assert first["reasons"] == [{"column": "x", "value": None}]
    assert "\\x" not in (tmp_path / "out.jsonl").read_text()
    answered(tmp_path / "in.parquet", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["text", "price", "inner", "label", "reasons"]
    assert (rows[0]["price"], rows[0]["reasons"]) == ("", '[{"column": "x", "value": null}]')
    assert "\\x" not in (tmp_path / "out.csv").read_text()


def test_a_row_that_cannot_be_read_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    bad = CHUNK + 7
    good = BytesIO()
    Image.new("RGB", (9, 9)).save(good, "PNG")
    pq.write_table(pa.table({"image": [good.getvalue()] * (bad - 1) + [b"a text"]}), tmp_path / "in.parquet")
    encoder = Pixels(["image"], 8)

    class Seeing(Lengths):
        def predict(self, rows: Sequence[Row]) -> list[Prediction]:
            encoder.encode(rows)
            return super().predict(rows)

    with pytest.raises(DataError, match=f"^row {bad}, column 'image', cannot be read as an image"):
        answered(tmp_path / "in.parquet", tmp_path / "out.jsonl", Seeing("image"))
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_folder_of_images_is_answered_by_the_names_of_its_files(tmp_path: Path, ending: str) -> None:
    for name in ("b.png", "a.png"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "photos" / name)
    answered(tmp_path / "photos", tmp_path / f"out.{ending}", Lengths("image"))
    text = (tmp_path / f"out.{ending}").read_text()
    assert str(tmp_path) not in text
    with (tmp_path / "out.csv").open(newline="") if ending == "csv" else (tmp_path / "out.jsonl").open() as file:
        rows = list(csv.DictReader(file)) if ending == "csv" else [json.loads(line) for line in file]
    assert sorted(row["image"] for row in rows) == ["a.png", "b.png"]


def test_one_image_is_a_source(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "cat.png")
    assert answered(tmp_path / "cat.png", tmp_path / "out.jsonl", Lengths("image")) == 1
    assert lines(tmp_path / "out.jsonl")[0]["image"] == "cat.png"


def test_a_missing_column_is_told_and_leaves_no_output(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("txt\na\n")
    with pytest.raises(DataError, match="has no column 'text', which the model reads. Did you mean 'txt'?"):
        answered(tmp_path / "in.csv", tmp_path / "out.csv")
    with pytest.raises(BadRequest, match="predictions are written as .csv or .jsonl"):
        answered(tmp_path / "in.csv", tmp_path / "out.xlsx")
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for count in (4_500, 13_500):
        (tmp_path / "in.csv").write_text("text\n" + "some words of a text\n" * count)
        tracemalloc.start()
        answered(tmp_path / "in.csv", tmp_path / "out.jsonl")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.7 * peaks[0]


def test_an_answer_is_one_line_of_json() -> None:
    assert (
        as_line({"label": "好", "value": float("inf"), "file": Path("/a/cat.png"), "raw": b"x"})
        == '{"label": "好", "value": null, "file": "cat.png"}'
    )
