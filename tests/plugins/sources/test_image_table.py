from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penjing.core.data import read, source_of
from penjing.core.errors import DataError
from penjing.plugins.sources.image_table import ImageTable


def rows(path: Path, split: str = "") -> list[Any]:
    return [row for chunk in read(path, split) for row in chunk]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for name in ("img/1.jpg", "img/2.PNG", "3.webp"):
        (tmp_path / name).write_bytes(b"image")
    return tmp_path


TABLE = [{"scan": "img/1.jpg", "age": "39", "label": "x"}, {"scan": "img\\2.PNG", "age": "50", "label": "y"}, {"scan": "", "age": "1", "label": "y"}]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_a_column_of_names_becomes_one_of_files(folder: Path, kind: str) -> None:
    path = folder / f"labels.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(TABLE), path)
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, TABLE)))
    else:
        separator = "\t" if kind == "tsv" else ","
        path.write_text("\n".join(separator.join(line) for line in (TABLE[0], *(row.values() for row in TABLE))))
    assert source_of(path) is ImageTable
    assert rows(path) == [
        {"scan": folder / "img/1.jpg", "age": "39", "label": "x"},
        {"scan": folder / "img/2.PNG", "age": "50", "label": "y"},
        {"scan": None, "age": "1", "label": "y"},
    ]


@pytest.mark.parametrize(
    "table",
    [
        "text,label\nimg/1.jpg,x\na review of 2.png and others,y\n",
        "text,label\nmissing.jpg,x\n",
        "text,label\nsee 1.jpg for it,x\n",
        "text,label\n",
        "a,b\n1.jpg,2,3\n",
        "caf\xe9,label\nimg/1.jpg,x\n",
    ],
)
def test_other_tables_are_left_to_their_own_source(folder: Path, table: str) -> None:
    (folder / "t.csv").write_bytes(table.encode("latin-1"))
    assert ImageTable.matches(folder / "t.csv") == 0
    assert source_of(folder / "t.csv") is not ImageTable


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("img/9.jpg", r"labels.csv, row 3: there is no file 'img/9.jpg' in .*. Put it there, or remove the row"),
        ("../out.jpg", r"labels.csv, row 3: '../out.jpg' is a path that leaves the folder"),
        ("/etc/out.jpg", r"labels.csv, row 3: '/etc/out.jpg' is a path that leaves the folder"),
        ("link.jpg", r"labels.csv, row 3: 'link.jpg' is a link to .*/out.jpg, which leaves the folder"),
        ("a text", r"labels.csv, row 3: there is no file 'a text'"),
    ],
)
def test_a_file_that_is_missing_or_lies_elsewhere_is_refused_with_its_row(folder: Path, name: str, reason: str) -> None:
    data = folder / "data"
    (data / "img").mkdir(parents=True)
    (data / "img" / "1.jpg").touch()
    (folder / "out.jpg").touch()
    (data / "link.jpg").symlink_to(folder / "out.jpg")
    lines = [*(["img/1.jpg,x"] * 2), f"{name},y", *(["img/1.jpg,x"] * 30)]
    # The first rows say what a column is: a name that is none among them would make it a column of texts.
    if name == "a text":
        lines = [*(["img/1.jpg,x"] * 30), f"{name},y"]
        reason = reason.replace("row 3", "row 31")
    (data / "labels.csv").write_text("\n".join(["image,label", *lines]))
    with pytest.raises(DataError, match=reason):
        rows(data / "labels.csv")


def test_a_folder_with_metadata_is_read_through_it(folder: Path) -> None:
    (folder / "metadata.csv").write_text("file_name,label\nimg/1.jpg,x\n3.webp,y\n")
    assert source_of(folder) is ImageTable
    assert source_of(folder).splits(folder) == []
    assert rows(folder) == [
        {"image": folder / "img/1.jpg", "file": "img/1.jpg", "label": "x"},
        {"image": folder / "3.webp", "file": "3.webp", "label": "y"},
    ]


def test_a_folder_with_metadata_for_each_split_comes_divided(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "1.png").touch()
        (tmp_path / split / "metadata.jsonl").write_text(json.dumps({"file_name": "1.png", "label": split}))
    assert source_of(tmp_path) is ImageTable
    assert source_of(tmp_path).splits(tmp_path) == ["train", "validation"]
    assert rows(tmp_path, "validation") == [{"image": tmp_path / "val/1.png", "file": "1.png", "label": "val"}]
    assert len(rows(tmp_path)) == 2


def test_metadata_without_images_is_told_by_the_source_of_its_format(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("title,label\na text,x\n")
    assert ImageTable.matches(tmp_path) == 0
    assert rows(tmp_path) == [{"title": "a text", "label": "x"}]


def hugging_face(path: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "beside.jpg").write_bytes(b"beside")
    images = [{"bytes": b"held", "path": "1.jpg"}, {"bytes": None, "path": "beside.jpg"}, None]
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    table = pa.table({"image": images, "label": [1, 0, 0]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), path)
    return path


def test_images_held_by_parquet_become_bytes_or_the_file_beside_it(tmp_path: Path) -> None:
    path = hugging_face(tmp_path / "t.parquet", tmp_path)
    assert source_of(path) is ImageTable
    assert [row["image"] for row in rows(path)] == [b"held", tmp_path / "beside.jpg", None]


def test_a_hub_repository_of_images_keeps_its_splits_and_the_names_of_its_classes(tmp_path: Path) -> None:
    for split in ("train", "test"):
        hugging_face(tmp_path / "data" / f"{split}-00000-of-00001.parquet", tmp_path / "data")
    assert source_of(tmp_path) is ImageTable
    assert source_of(tmp_path).splits(tmp_path) == ["train", "test"]
    assert rows(tmp_path, "train") == [
        {"image": b"held", "label": "yes"},
        {"image": tmp_path / "data/beside.jpg", "label": "no"},
        {"image": None, "label": "no"},
    ]


def test_a_held_image_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    held = [{"bytes": b"held", "path": None}, {"bytes": None, "path": "/etc/passwd"}]
    pq.write_table(pa.table({"image": held}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="row 2: '/etc/passwd' is a path that leaves the folder"):
        rows(tmp_path / "t.parquet")


def test_a_saved_data_set_of_images_is_read(tmp_path: Path) -> None:
    table = pa.table({"image": [{"bytes": b"held", "path": None}], "label": ["x"]})
    with pa.OSFile(str(tmp_path / "data-00000-of-00001.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    assert source_of(tmp_path) is ImageTable
    assert rows(tmp_path) == [{"image": b"held", "label": "x"}]
