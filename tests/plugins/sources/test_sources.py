from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penjing.core.data import read, source_of
from penjing.core.errors import DataError

ROWS = [{"text": "a, quoted\nvalue", "label": "x"}, {"text": "中文 ☂", "label": "y"}]


def rows(path: Path, split: str = "", encoding: str = "utf-8") -> list[Any]:
    return [row for chunk in read(path, split, encoding) for row in chunk]


@pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("csv", ";"), ("csv", "|"), ("tsv", "\t"), ("tab", "\t")])
def test_separated_tables_keep_quoted_separators_and_line_breaks(tmp_path: Path, ending: str, separator: str) -> None:
    path = tmp_path / f"t.{ending}"
    path.write_text(f'text{separator}label\n"a, quoted\nvalue"{separator}x\n中文 ☂{separator}y\n', encoding="utf-8")
    assert rows(path) == ROWS


def test_jsonl_and_parquet_keep_types(tmp_path: Path) -> None:
    typed = [{"text": "a", "n": 1, "tags": ["p"]}, {"text": "b", "n": 2.5, "tags": []}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, typed)) + "\n\n")
    pq.write_table(pa.Table.from_pylist(typed), tmp_path / "t.parquet")
    assert rows(tmp_path / "t.jsonl") == typed
    assert rows(tmp_path / "t.parquet") == typed


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_understood(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_text("text,label\n中文,y\n", encoding=encoding)
    assert rows(tmp_path / "t.csv") == [{"text": "中文", "label": "y"}]


@pytest.mark.changes("data.encoding")
def test_the_named_encoding_is_used(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("text,label\n这是中文文本,y\n".encode("gb18030"))
    assert rows(tmp_path / "t.csv", encoding="gb18030")[0]["text"] == "这是中文文本"
    with pytest.raises(DataError, match=r"line 2: byte 0x.* is not utf-8. It reads as gb18030.*data.encoding=gb18030"):
        rows(tmp_path / "t.csv")
    with pytest.raises(DataError, match="'utf8x', which Python does not know"):
        rows(tmp_path / "t.csv", encoding="utf8x")


def test_a_dataset_that_was_saved_to_disk_is_read_with_its_class_names(tmp_path: Path) -> None:
    for split, label in (("train", 0), ("test", 1)):
        folder = tmp_path / "ds" / split
        folder.mkdir(parents=True)
        table = pa.table({"text": ["a", "b"], "label": [label, 1 - label]})
        with pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
        features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
        (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    (tmp_path / "ds" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    assert source_of(tmp_path / "ds").splits(tmp_path / "ds") == ["train", "test"]
    assert rows(tmp_path / "ds", "test") == [{"text": "a", "label": "yes"}, {"text": "b", "label": "no"}]


def test_a_hub_repository_with_a_file_for_each_split_is_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    info = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    table = pa.table({"text": ["a"], "label": [1]}).replace_schema_metadata({"huggingface": json.dumps(info)})
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        pq.write_table(table, tmp_path / "data" / f"{name}.parquet")
    (tmp_path / "README.md").write_text("a card")
    assert source_of(tmp_path).splits(tmp_path) == ["train", "validation"]
    assert rows(tmp_path, "train") == [{"text": "a", "label": "yes"}] * 2


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("r.csv", b"a,b\n1,2\n3,4,5\n", "line 3: 3 values where the header has 2"),
        ("r.csv", b'a,b\n"x\ny",2\n3\n', "line 4: 1 values where the header has 2"),
        ("d.csv", b"a,b,a\n1,2,3\n", r"line 1: the column 'a' stands more than once \(columns \[1, 3\]\)"),
        ("e.csv", b"", "is empty"),
        ("q.csv", b'a,b\n"never closed,2\n', "line 2: unexpected end of data. Close the quotes"),
        ("b.csv", b"a,b\nfine,1\ncaf\xe9 au lait,2\n", "line 3: byte 0xe9 at position 4 is not utf-8. It reads as windows-1252"),
        ("j.jsonl", b'{"a": 1}\n{"a": }\n', "line 2: not valid JSON at character 7"),
        ("j.jsonl", b'{"a": 1}\n[1]\n', "line 2: expected an object"),
        ("j.jsonl", b'{"a": 1, "a": 2}\n', "line 1: the name 'a' stands more than once"),
        ("p.parquet", b"PAR1 not really", "not a readable Parquet file"),
        ("x.docx", b"PK", "no source reads this kind of file. There is: csv, huggingface-dataset, image-folder, image-table, jsonl, parquet"),
    ],
)
def test_a_broken_file_is_refused_with_file_line_and_remedy(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence) as told:
        rows(tmp_path / name)
    assert name in str(told.value)


def test_a_missing_file_is_named_with_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").touch()
    with pytest.raises(DataError, match=r"reveiws.csv does not exist. Check the name; beside it there is: reviews.csv"):
        rows(tmp_path / "reveiws.csv")
