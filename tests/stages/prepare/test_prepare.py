from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from penjing.core.errors import DataError
from penjing.core.protocols import Silent
from penjing.core.snapshot import Snapshot
from penjing.core.tasks import TaskConfig
from penjing.stages.prepare.config import DataConfig
from penjing.stages.prepare.prepare import prepare

WORDS = ["river", "stone", "cloud", "paper", "lamp", "field", "bread", "window", "garden", "music"]


class Told(Silent):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


def texts(count: int, start: int = 0) -> list[str]:
    return [f"{WORDS[i % 10]} and {WORDS[i // 10 % 10]} number {i}" for i in range(start, start + count)]


def table(path: Path, rows: list[tuple[Any, ...]], header: str = "text,label") -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def labelled(tmp_path: Path, count: int = 100) -> Path:
    tmp_path.mkdir(exist_ok=True)
    return table(tmp_path / "data.csv", [(t, "yes" if i % 4 else "no") for i, t in enumerate(texts(count))])


def prepared(tmp_path: Path, task: str | None = None, seed: int = 0, told: Told | None = None, proves: bool = True, **config: Any) -> Snapshot:
    folder = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    prepare(DataConfig(**{"target": "label", **config}), TaskConfig.parse(task) if task else None, seed, folder, told or Told(), proves)
    return Snapshot.open(folder)


def ids(data: Snapshot, split: Any) -> set[int]:
    return {row["penjing_row"] for row in data.rows(split)}


@pytest.mark.changes("data.source")
@pytest.mark.changes("data.target")
def test_the_named_column_of_the_named_file_is_learnt(tmp_path: Path) -> None:
    one = table(tmp_path / "a.csv", [(t, "xy"[i % 2], "pq"[i % 2]) for i, t in enumerate(texts(20))], "text,label,other")
    assert prepared(tmp_path, source=str(one)).task.labels == ["x", "y"]  # type: ignore[attr-defined]
    assert prepared(tmp_path, source=str(one), target="other", columns=["text"]).task.labels == ["p", "q"]  # type: ignore[attr-defined]


def filled(data: Snapshot) -> dict[str, int]:
    return {split: rows for split, rows in data.counts.items() if rows}


def test_splits_are_stratified_disjoint_and_of_the_asked_sizes(tmp_path: Path) -> None:
    data = prepared(tmp_path, source=str(labelled(tmp_path, 400)))
    assert filled(data) == {"train": 272, "validation": 48, "test": 80}
    assert sum(row["label"] == "no" for row in data.rows("test")) == 20
    assert not ids(data, "train") & ids(data, "test")
    assert len(ids(data, "train") | ids(data, "validation") | ids(data, "test")) == 400


@pytest.mark.changes("seed")
def test_another_seed_divides_differently_and_the_same_seed_alike(tmp_path: Path) -> None:
    source = str(labelled(tmp_path))
    first, again, other = (prepared(tmp_path, seed=s, source=source) for s in (0, 0, 1))
    assert ids(first, "test") == ids(again, "test") != ids(other, "test")


@pytest.mark.changes("data.calibration")
def test_calibration_rows_are_a_tenth_where_that_can_prove_something_and_else_what_is_asked_for(tmp_path: Path) -> None:
    many, few = (str(labelled(tmp_path / name, count)) for name, count in (("many", 10_000), ("few", 400)))
    assert prepared(tmp_path, source=many).counts["calibration"] == 800
    assert prepared(tmp_path, source=many, proves=False).counts["calibration"] == 0, "a tier alone has nothing to prove"
    assert prepared(tmp_path, source=few).counts["calibration"] == 0
    assert prepared(tmp_path, source=few, calibration=0.25).counts["calibration"] == 80
    rows = table(tmp_path / "calibration.csv", [(t, "no") for t in texts(9, start=5000)])
    assert prepared(tmp_path, source=few, calibration=str(rows)).counts["calibration"] == 9
    with pytest.raises(DataError, match=r"data.calibration is 0.7"):
        prepared(tmp_path, source=few, calibration=0.7)


@pytest.mark.changes("data.unlabelled")
def test_unlabelled_rows_are_kept_apart_from_all_that_measures(tmp_path: Path) -> None:
    source = labelled(tmp_path, 100)
    known = source.read_text().splitlines()[1].rsplit(",", 1)[0]
    more = tmp_path / "more.csv"
    more.write_text("text\n" + "\n".join([known, "a text that nobody labelled", "", "another such text"]) + "\n")
    data = prepared(tmp_path, source=str(source), unlabelled=str(more))
    assert sorted(row["text"] for row in data.rows("unlabelled")) == ["a text that nobody labelled", "another such text"]
    assert prepared(tmp_path, source=str(source)).counts["unlabelled"] == 0
    more.write_text("words\nx\n")
    with pytest.raises(DataError, match=r"no column 'text', which the task reads \(data.unlabelled\)"):
        prepared(tmp_path, source=str(source), unlabelled=str(more))


@pytest.mark.changes("data.validation")
@pytest.mark.changes("data.test")
def test_shares_and_files_of_their_own_decide_the_splits(tmp_path: Path) -> None:
    source = str(labelled(tmp_path))
    assert filled(prepared(tmp_path, source=source, test=0.5, validation=0.1)) == {"train": 45, "validation": 5, "test": 50}
    test = table(tmp_path / "test.csv", [(t, "no") for t in texts(7, start=500)])
    valid = table(tmp_path / "valid.csv", [(t, "yes") for t in texts(3, start=600)])
    assert filled(prepared(tmp_path, source=source, test=str(test), validation=str(valid))) == {"train": 100, "validation": 3, "test": 7}


@pytest.mark.changes("data.group")
def test_no_group_stands_in_two_splits(tmp_path: Path) -> None:
    rows = [(t, "yes" if i % 3 else "no", f"p{i // 5}") for i, t in enumerate(texts(300))]
    source = str(table(tmp_path / "g.csv", rows, "text,label,patient"))
    data = prepared(tmp_path, source=source, group="patient", columns=["text"])
    groups = {split: {row["patient"] for row in data.rows(split)} for split in ("train", "validation", "test")}  # type: ignore[arg-type]
    assert not groups["train"] & groups["test"] | groups["train"] & groups["validation"] | groups["validation"] & groups["test"]
    assert 40 <= data.counts["test"] <= 80
    apart = prepared(tmp_path, source=source, columns=["text"])
    assert {row["patient"] for row in apart.rows("train")} & {row["patient"] for row in apart.rows("test")}


def test_empty_and_repeated_rows_are_dropped_with_a_reason_and_a_count_each(tmp_path: Path) -> None:
    rows = [(t, "yes" if i % 2 else "no") for i, t in enumerate(texts(40))]
    source = table(tmp_path / "d.csv", [*rows, *rows[:3], ("", "yes"), ("   ", "no"), ("no label", "")])
    told = Told()
    data = prepared(tmp_path, told=told, source=str(source))
    assert json.loads((data.folder / "data.json").read_text())["dropped"] == {"unanswered": 1, "empty": 2, "repeated": 3}
    dropped = pq.read_table(data.folder / "dropped.parquet").to_pylist()
    assert {d["penjing_row"] for d in dropped if d["reason"] == "repeated"} == {41, 42, 43}
    assert "1 unanswered, 2 empty, 3 repeated" in told.sentences[-1]


@pytest.mark.changes("data.clean")
def test_the_user_chooses_the_cleaners(tmp_path: Path) -> None:
    rows = [(t, "yes" if i % 2 else "no") for i, t in enumerate(texts(40))]
    source = str(table(tmp_path / "d.csv", [*rows, rows[0], ("", "yes")]))
    assert sum(prepared(tmp_path, source=source, clean=["empty"], test=0.0, validation=0.0).counts.values()) == 41


def test_test_rows_that_stand_in_train_are_removed_and_counted(tmp_path: Path) -> None:
    source = labelled(tmp_path)
    test = table(tmp_path / "t.csv", [(texts(100)[i], "yes") for i in (5, 6)] + [(t, "no") for t in texts(4, start=900)])
    data = prepared(tmp_path, source=str(source), test=str(test), validation=0.0)
    assert data.counts["test"] == 4
    assert json.loads((data.folder / "data.json").read_text())["dropped"] == {"test rows that also stand in train": 2}


def test_test_rows_of_a_group_that_stands_in_train_are_removed(tmp_path: Path) -> None:
    source = table(tmp_path / "g.csv", [(t, "ab"[i % 2], f"p{i // 4}") for i, t in enumerate(texts(80))], "text,label,patient")
    test = table(tmp_path / "t.csv", [(t, "ab"[i % 2], f"p{18 + i}") for i, t in enumerate(texts(4, start=900))], "text,label,patient")
    data = prepared(tmp_path, source=str(source), test=str(test), validation=0.0, group="patient", columns=["text"])
    assert {row["patient"] for row in data.rows("test")} == {"p20", "p21"}


def test_the_splits_that_a_dataset_folder_comes_with_are_kept(tmp_path: Path) -> None:
    import pyarrow as pa

    folder = tmp_path / "hub" / "data"
    folder.mkdir(parents=True)
    for split, count, start in (("train", 40, 0), ("test", 10, 100)):
        rows = {"text": texts(count, start), "label": ["ab"[i % 2] for i in range(count)]}
        pq.write_table(pa.table(rows), folder / f"{split}-00000-of-00001.parquet")
    data = prepared(tmp_path, source=str(tmp_path / "hub"))
    assert filled(data) == {"train": 34, "validation": 6, "test": 10}


@pytest.mark.changes("data.rare_classes")
def test_a_class_with_one_row_is_refused_or_dropped_as_asked(tmp_path: Path) -> None:
    rows = [*((t, "yes" if i % 2 else "no") for i, t in enumerate(texts(40))), ("a lonely text", "maybe")]
    source = str(table(tmp_path / "r.csv", rows))
    with pytest.raises(DataError, match=r"1 class\(es\) with one row: 'maybe' \(row 41\).*rare_classes=drop"):
        prepared(tmp_path, source=source)
    assert prepared(tmp_path, source=source, rare_classes="drop").task.labels == ["no", "yes"]  # type: ignore[attr-defined]


def test_a_label_that_only_the_test_split_holds_is_named(tmp_path: Path) -> None:
    test = table(tmp_path / "t.csv", [("something new", "perhaps"), ("something else", "no")])
    with pytest.raises(DataError, match="In the test rows: Label 'perhaps'.*not among the training rows"):
        prepared(tmp_path, source=str(labelled(tmp_path)), test=str(test))


@pytest.mark.parametrize(
    ("rows", "config", "sentence"),
    [
        ([(t, "yes") for t in texts(20)], {}, "one class only"),
        ([("", "yes"), ("", "no")] * 5, {}, "'text' is empty in every row"),
        ([(t, "") for t in texts(9)], {}, "no row is left after cleaning"),
        ([], {}, "no rows below its header"),
        ([(i, "ab"[i % 2]) for i in range(20)], {"task": "text-classification"}, "no column reads like text"),
        ([(t, "ab"[i % 2]) for i, t in enumerate(texts(20))], {"target": "lable"}, "Did you mean 'label'"),
        ([(t, "ab"[i % 2]) for i, t in enumerate(texts(20))], {"target": None}, "--target COLUMN. There is: text, label"),
        ([(t, "ab"[i % 2]) for i, t in enumerate(texts(20))], {"group": "pacient"}, "no column 'pacient'"),
        ([(t, "ab"[i % 2]) for i, t in enumerate(texts(20))], {"columns": ["label"]}, r"cannot be in data\.columns and something else"),
        ([(t, "ab"[i % 2]) for i, t in enumerate(texts(20))], {"test": 0.9}, "from 0 to 0.5"),
        ([(t, "ab"[i % 2]) for i, t in enumerate(texts(20))], {"clean": ["emtpy"]}, "Did you mean 'empty'"),
    ],
)
def test_data_that_cannot_be_learnt_from_are_refused_with_the_remedy(
    tmp_path: Path, rows: list[tuple[Any, ...]], config: dict[str, Any], sentence: str
) -> None:
    from penjing.core.errors import BadRequest

    with pytest.raises(BadRequest, match=sentence) as told:
        prepared(tmp_path, **{"source": str(table(tmp_path / "x.csv", rows)), **config})
    assert told.value.exit_code == 2


@pytest.mark.changes("data.columns")
def test_prose_is_found_among_other_columns_and_the_user_may_choose_otherwise(tmp_path: Path) -> None:
    rows = [(i, f"May {i % 28 + 1} 2011", WORDS[i % 10], f"{t} {t} {t} {t} {t} {t}", "ab"[i % 2]) for i, t in enumerate(texts(60))]
    source = str(table(tmp_path / "m.csv", rows, "id,date,drug,review,label"))
    told = Told()
    assert prepared(tmp_path, told=told, source=source).columns == ["review"]
    assert "Text is read from 'review'" in told.sentences[0]
    assert prepared(tmp_path, source=source, columns=["drug", "review"]).columns == ["drug", "review"]


@pytest.mark.changes("task")
@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["good", "bad", "ugly"], "text-classification"),
        ([1, 2, 3, 4, 5], "text-classification"),
        ([f"{i * 0.37:.2f}" for i in range(40)], "text-regression"),
        (["red|blue", "red", "blue|green", "green"], "multi-label-text-classification"),
    ],
)
def test_the_task_is_found_from_the_target_and_said(tmp_path: Path, values: list[Any], task: str) -> None:
    source = table(tmp_path / "i.csv", [(t, values[i % len(values)]) for i, t in enumerate(texts(80))])
    told = Told()
    data = prepared(tmp_path, told=told, source=str(source))
    assert json.loads((data.folder / "data.json").read_text())["task"]["name"] == task
    assert any(f"The task is {task}" in sentence for sentence in told.sentences)


def test_a_task_that_the_user_names_is_taken(tmp_path: Path) -> None:
    source = str(table(tmp_path / "i.csv", [(t, i % 5) for i, t in enumerate(texts(80))]))
    assert prepared(tmp_path, task="text-regression", source=source).task.center == pytest.approx(2.0, abs=0.3)  # type: ignore[attr-defined]


def test_rows_that_alternate_between_classes_are_judged_by_all_of_them(tmp_path: Path) -> None:
    rows = [(t, f"class{i % 4}") for i, t in enumerate(texts(6000))]
    told = Told()
    prepared(tmp_path, told=told, source=str(table(tmp_path / "s.csv", rows)))
    assert any("4 different values" in sentence for sentence in told.sentences)


def test_rows_sorted_by_class_are_judged_by_all_of_them(tmp_path: Path) -> None:
    rows = [(t, f"class{i // 1500}") for i, t in enumerate(texts(6000))]
    assert len(prepared(tmp_path, source=str(table(tmp_path / "s.csv", rows))).task.labels) == 4  # type: ignore[attr-defined]
