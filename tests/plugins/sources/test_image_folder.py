from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from penjing.core.data import read, source_of
from penjing.core.errors import DataError
from penjing.core.protocols import Silent
from penjing.core.snapshot import Snapshot
from penjing.plugins.sources import image_folder
from penjing.plugins.sources.huggingface_dataset import HuggingfaceDataset
from penjing.plugins.sources.image_folder import ImageFolder
from penjing.stages.prepare.config import DataConfig
from penjing.stages.prepare.prepare import prepare


def made(folder: Path, *names: str) -> Path:
    """Make empty files: the source opens none of them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def rows(path: Path, split: str = "") -> list[Any]:
    return [row for chunk in read(path, split) for row in chunk]


def test_a_folder_of_class_folders_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    made(tmp_path, "dog/1.jpg", "cat/b.PNG", "cat/a.tiff", "cat/deeper/still/c.webp")
    assert source_of(tmp_path) is ImageFolder
    assert source_of(tmp_path).splits(tmp_path) == []
    assert rows(tmp_path)[0] == {"image": tmp_path / "cat/a.tiff", "file": "cat/a.tiff", "label": "cat"}
    assert [(r["file"], r["label"]) for r in rows(tmp_path)[1:]] == [("cat/b.PNG", "cat"), ("cat/deeper/still/c.webp", "cat"), ("dog/1.jpg", "dog")]


def test_hidden_files_and_files_that_are_no_images_are_passed_over(tmp_path: Path) -> None:
    made(tmp_path, "cat/1.jpg", "cat/.hidden.jpg", "cat/Thumbs.db", "cat/notes.txt", ".cache/x/2.jpg", "__MACOSX/cat/1.jpg", "README.md", "dog/1.jpg")
    assert [r["file"] for r in rows(tmp_path)] == ["cat/1.jpg", "dog/1.jpg"]


@pytest.mark.parametrize("name", ["validation", "val", "valid", "Val"])
def test_folders_called_as_splits_are_splits(tmp_path: Path, name: str) -> None:
    made(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", f"{name}/cat/2.jpg", f"{name}/dog/2.jpg", "test/cat/3.jpg")
    assert source_of(tmp_path).splits(tmp_path) == ["train", "validation", "test"]
    assert rows(tmp_path, "validation") == [
        {"image": tmp_path / name / label / "2.jpg", "file": f"{name}/{label}/2.jpg", "label": label} for label in ("cat", "dog")
    ]
    assert Counter(r["label"] for r in rows(tmp_path)) == {"cat": 3, "dog": 2}, "read as one whole, it is all of them"


def test_classes_may_be_called_as_splits_are(tmp_path: Path) -> None:
    made(tmp_path, "train/1.jpg", "bus/1.jpg")
    assert source_of(tmp_path).splits(tmp_path) == []
    assert [r["label"] for r in rows(tmp_path)] == ["bus", "train"]
    made(tmp_path / "both", "train/1.jpg", "test/1.jpg")
    assert [r["label"] for r in rows(tmp_path / "both")] == ["test", "train"]


def test_a_split_without_classes_is_refused(tmp_path: Path) -> None:
    made(tmp_path, "train/cat/1.jpg", "test/1.jpg")
    with pytest.raises(DataError, match=r"test holds images, but no folders of classes, as .*train does.*data.unlabelled"):
        rows(tmp_path, "test")


def test_images_in_no_folder_have_no_label(tmp_path: Path) -> None:
    made(tmp_path, "b.jpg", "a.png", "c.txt")
    assert rows(tmp_path) == [{"image": tmp_path / name, "file": name} for name in ("a.png", "b.jpg")]
    assert rows(tmp_path / "b.jpg") == [{"image": tmp_path / "b.jpg", "file": "b.jpg"}]
    made(tmp_path, "cat/1.jpg")
    assert [row.get("label") for row in rows(tmp_path)] == [None, None, "cat"]


def test_a_class_without_images_is_refused_where_it_is_to_be_learnt(tmp_path: Path) -> None:
    made(tmp_path, "train/cat/1.jpg", "train/dog/1.heic", "train/dog/2.heic", "test/cat/1.jpg")
    (tmp_path / "test" / "dog").mkdir()
    with pytest.raises(
        DataError, match=r"train/dog holds no image: there are 2 files with .heic. Put images of the class 'dog' into it, or remove it"
    ):
        rows(tmp_path, "train")
    assert len(rows(tmp_path, "test")) == 1
    (tmp_path / "flat" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="flat/cat is empty. Put images of the class 'cat' into it"):
        rows(made(tmp_path / "flat", "dog/1.jpg"))


def test_folders_that_hold_no_image_at_all_are_told_what_an_image_is(tmp_path: Path) -> None:
    made(tmp_path, "cat/1.heic", "cat/2.heic", "dog/3.heic", "dog/x")
    with pytest.raises(DataError, match="no image"):
        rows(tmp_path)
    (tmp_path / "other" / "cat").mkdir(parents=True)
    made(tmp_path / "other", "notes.docx")
    with pytest.raises(DataError, match=r"cat is empty"):
        rows(tmp_path / "other")


def test_folders_of_other_data_are_left_to_other_sources(tmp_path: Path) -> None:
    made(tmp_path, "a/data/train.parquet", "b/train/data.arrow", "c/x.xyz", "d/data/train.parquet", "d/logo.png")
    assert [ImageFolder.matches(tmp_path / name) for name in "abcd"] == [0, 0, 0, 1]
    assert source_of(tmp_path / "d") is HuggingfaceDataset
    (tmp_path / "empty").mkdir()
    assert ImageFolder.matches(tmp_path / "empty") == 0
    assert ImageFolder.matches(tmp_path / "c" / "x.xyz") == 0


def test_a_link_that_leaves_the_folder_is_refused_whether_to_a_file_or_a_folder(tmp_path: Path) -> None:
    made(tmp_path, "secret/1.jpg", "a/cat/1.jpg", "b/cat/1.jpg", "c/cat/1.jpg", "c/dog/1.jpg")
    (tmp_path / "a" / "cat" / "2.jpg").symlink_to(tmp_path / "secret" / "1.jpg")
    (tmp_path / "b" / "dog").symlink_to(tmp_path / "secret")
    (tmp_path / "c" / "cat" / "more").symlink_to("../../secret")
    (tmp_path / "d").mkdir()
    made(tmp_path / "d", "train/cat/1.jpg")
    (tmp_path / "d" / "test").symlink_to(tmp_path / "secret")
    for name, link in (("a", "cat/2.jpg"), ("b", "dog"), ("c", "cat/more"), ("d", "test")):
        with pytest.raises(DataError, match=f"{name}: '{link}' is a link to {tmp_path}/secret.*, which leaves the folder"):
            rows(tmp_path / name, "train" if name == "d" else "")


def test_links_within_the_folder_are_read_and_never_in_a_circle(tmp_path: Path) -> None:
    made(tmp_path, "cat/1.jpg")
    (tmp_path / "cat" / "2.jpg").symlink_to("1.jpg")
    (tmp_path / "cat" / "again").symlink_to(".")
    (tmp_path / "linked").symlink_to("cat")
    assert [r["file"] for r in rows(tmp_path / "cat")] == ["1.jpg", "2.jpg"]
    assert [r["file"] for r in rows(tmp_path)] == ["cat/1.jpg", "cat/2.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="names of files are bytes on Unix alone")
def test_names_that_are_no_unicode_become_text_that_can_be_stored(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102 - pathlib takes no bytes
    Path(os.fsdecode(folder), "1.jpg").touch()
    (row,) = rows(tmp_path)
    assert (row["file"], row["label"]) == ("caf\ufffd/1.jpg", "caf\ufffd")
    assert row["image"].is_file()


def test_many_images_come_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "CHUNK", 3)
    made(tmp_path, *(f"cat/{i}.png" for i in range(7)))
    assert [len(chunk) for chunk in read(tmp_path)] == [3, 3, 1]


def test_a_class_with_one_image_is_refused_when_the_data_are_prepared_or_dropped_if_so_asked(tmp_path: Path) -> None:
    for i in range(21):
        file = tmp_path / "data" / ("owl" if i == 20 else ("cat", "dog")[i % 2]) / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.radial_gradient("L").rotate(i).resize((20, 20)).save(file)
    asked = {"source": str(tmp_path / "data"), "target": "label"}
    with pytest.raises(DataError, match=r"1 class\(es\) with one row: 'owl'.*--set data.rare_classes=drop"):
        prepare(DataConfig(**asked), None, 0, tmp_path, Silent())
    prepare(DataConfig(**asked, rare_classes="drop"), None, 0, tmp_path, Silent())
    snapshot = Snapshot.open(tmp_path)
    assert set(snapshot.task.labels) == {"cat", "dog"}
    assert snapshot.rows("train")[0]["image"].startswith(b"\x89PNG"), "the snapshot holds what the files hold"
