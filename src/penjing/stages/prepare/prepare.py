"""data → snapshot: reads the user's file, says what it infers, drops what cannot be learnt from, and divides the rows.

Every dropped row is kept by id with its reason in `dropped.parquet`; counts stand in `data.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from penjing.core import plugins
from penjing.core.config import Section
from penjing.core.data import read, source_of
from penjing.core.errors import DataError, nearest
from penjing.core.files import sha256, write_json
from penjing.core.protocols import Progress, Task
from penjing.core.snapshot import ROW_ID
from penjing.core.tier import packed
from penjing.core.types import Row
from penjing.stages.prepare import infer, splits

SPLITS: tuple[Literal["train"], Literal["validation"], Literal["test"]] = ("train", "validation", "test")


class DataConfig(Section):
    """What to learn from."""

    source: str
    """File or folder: CSV, TSV, JSONL, Parquet, or a Hugging Face dataset folder."""
    target: str | None = None
    """Column to predict."""
    text: list[str] | None = None
    """Columns to read; found out where not given."""
    group: str | None = None
    """Column whose rows must stay in one split together (a patient, an author)."""
    encoding: str = "utf-8"
    """Character encoding of text files."""
    validation: float | str = 0.15
    """Share of the training rows kept to choose by (0 to 0.5), or a file of its own."""
    test: float | str = 0.2
    """Share of all rows kept to measure on (0 to 0.5), or a file of its own."""
    clean: list[str] = Field(default=["empty", "repeated"])
    """Cleaners that drop rows, in their order."""
    rare_classes: Literal["refuse", "drop"] = "refuse"
    """What to do about classes with one row, which can stand in one split only."""


def sources_digest(config: DataConfig) -> dict[str, str]:
    """Return the SHA-256 of every file that the data come from: a changed file makes the stage run again."""
    named = [config.source, *(v for v in (config.validation, config.test) if isinstance(v, str))]
    found: dict[str, str] = {}
    for name in named:
        path = Path(name)
        source_of(path)
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        found |= {f"{name}/{p.relative_to(path)}" if p != path else name: sha256(p) for p in files}
    return found


def prepare(config: DataConfig, task: str | None, seed: int, folder: Path, progress: Progress) -> None:
    """Write the snapshot of `config.source` into `folder`. Raises DataError with file, line or column and the remedy."""
    given = _read(config, progress)
    rows = [row for split in given.values() for row in split]
    if not rows:
        raise DataError(f"{config.source} has no rows below its header.")
    names = list(dict.fromkeys(name for row in infer.spread(rows) for name in row if name != ROW_ID))
    target = infer.target(config.target, names, config.source)
    if config.group is not None and config.group not in names:
        raise DataError(f"{config.source} has no column {config.group!r} (data.group). {nearest(config.group, names)}")
    columns = infer.text_columns(config.text, rows, names, [target, config.group], config.source)
    dropped: list[dict[str, Any]] = []
    given = {split: _clean(found, columns.value, target, config.clean, dropped) for split, found in given.items()}
    kept = [row for split in given.values() for row in split]
    if not kept:
        raise DataError(f"{config.source}: no row is left after cleaning ({_reasons(dropped)}). Every text or every {target!r} is empty.")
    chosen = infer.task(task, infer.typed([row[target] for row in kept]), target)
    for sentence in (columns.why, chosen.why):
        if sentence:
            progress.say(sentence)
    kind: type[Task] = plugins.load("tasks", chosen.value)
    made, divided = _divide(kind, given, config, target, columns.value, seed, dropped)
    _without_leaks(divided, columns.value, config, dropped)
    _write(folder, made, columns.value, divided, dropped)
    progress.say(_summary(divided, dropped))


def _read(config: DataConfig, progress: Progress) -> dict[str, list[Row]]:
    """Return the rows of each split that the user's files come with, numbered as they stand; "" is what is still to be divided."""
    path = Path(config.source)
    parts = {split or "": (path, split) for split in (source_of(path).splits(path) or [""])}
    if len(parts) == 1 and "train" in parts:
        parts = {"": parts["train"]}
    for split, value in (("validation", config.validation), ("test", config.test)):
        if isinstance(value, str):
            parts[split] = (Path(value), "")
    if len(parts) > 1 and "" in parts:
        parts = {"train": parts.pop(""), **parts}
    given: dict[str, list[Row]] = {}
    number = 0
    progress.start(f"read {path.name}", 0)
    for split, (file, inner) in parts.items():
        given[split] = []
        for chunk in read(file, inner, config.encoding):
            given[split] += [{ROW_ID: number + i, **row} for i, row in enumerate(chunk, 1)]
            number += len(chunk)
            progress.advance(len(chunk))
    progress.finish()
    return given


def _clean(rows: list[Row], columns: list[str], target: str, cleaners: Iterable[str], dropped: list[dict[str, Any]]) -> list[Row]:
    for name in cleaners:
        keep = plugins.load("cleaners", name)(rows, columns, target)
        dropped += [{ROW_ID: row[ROW_ID], "reason": name} for row, kept in zip(rows, keep, strict=True) if not kept]
        rows = [row for row, kept in zip(rows, keep, strict=True) if kept]
    return rows


def _divide(
    kind: type[Task], given: dict[str, list[Row]], config: DataConfig, target: str, columns: list[str], seed: int, dropped: list[dict[str, Any]]
) -> tuple[Task, dict[str, list[Row]]]:
    """Return the task, its options learnt from training rows only, and the rows of each split."""
    whole = given.get("", given.get("train", []))
    everything = [row for rows in given.values() for row in rows]
    provisional = kind(**kind.options_from(everything, target, columns))
    shares = {s: v for s, v in (("validation", config.validation), ("test", config.test)) if isinstance(v, float | int)}
    for split, share in shares.items():
        if not 0 <= share <= 0.5:
            raise DataError(f"data.{split} is {share}: expected a share of the rows from 0 to 0.5, or the name of a file.")
    # Shares of what remains: validation is taken from the rows that are not for testing.
    of_test = shares.get("test", 0.0) if "test" not in given else 0.0
    of_validation = shares.get("validation", 0.0) * (1 - of_test) if "validation" not in given else 0.0
    wanted = (1 - of_test - of_validation, of_validation, of_test)
    if of_test:
        whole = _without_rare(provisional, whole, config, target, dropped)
    strata = provisional.strata(whole)
    if config.group is None:
        split_B = splits.stratified(strata, wanted, seed)
    else:
        groups = np.array([str(row.get(config.group)) for row in whole])
        split_B = splits.grouped(strata, groups, wanted, seed)
        if len(set(groups[split_B == 0])) == len(set(groups)) and sum(wanted[1:]) > 0:
            raise DataError(f"Column {config.group!r} has too few groups ({len(set(groups))}) to divide by. Choose another data.group, or none.")
    divided: dict[str, list[Row]] = {name: [whole[i] for i in np.flatnonzero(split_B == s)] for s, name in enumerate(SPLITS)}
    divided |= {name: rows for name, rows in given.items() if name in ("validation", "test")}
    task = kind(**kind.options_from(divided["train"], target, columns))
    for name in ("validation", "test"):
        try:
            task.target_of(divided[name])
        except DataError as error:
            raise DataError(f"In the {name} rows: {error} Add training rows with it, or remove it from the {name} rows.") from error
    return task, divided


def _without_rare(task: Task, rows: list[Row], config: DataConfig, target: str, dropped: list[dict[str, Any]]) -> list[Row]:
    """Return `rows` without the classes that one row has, or refuse them, as the user chose."""
    strata = task.strata(rows)
    rare = {s for s, n in Counter(strata.tolist()).items() if n == 1}
    if task.target_of(rows).ndim > 1 or not rare:
        return rows
    alone = [row for row, s in zip(rows, strata.tolist(), strict=True) if s in rare]
    if config.rare_classes == "refuse":
        named = ", ".join(f"{row[target]!r} (row {row[ROW_ID]})" for row in alone[:5])
        raise DataError(
            f"Column {target!r}: {len(alone)} class(es) with one row: {named}. A class needs rows to learn from and rows to test on: "
            "add rows, or drop these with --set data.rare_classes=drop."
        )
    dropped += [{ROW_ID: row[ROW_ID], "reason": "class with one row"} for row in alone]
    return [row for row, s in zip(rows, strata.tolist(), strict=True) if s not in rare]


def _without_leaks(divided: dict[str, list[Row]], columns: Sequence[str], config: DataConfig, dropped: list[dict[str, Any]]) -> None:
    """Remove validation and test rows whose inputs also stand in an earlier split: they would measure memory."""
    seen: set[tuple[str, ...]] = set()
    for split in SPLITS:
        keys = [tuple(str(row.get(c)) for c in columns) for row in divided[split]]
        leaked = [key in seen for key in keys]
        dropped += [
            {ROW_ID: row[ROW_ID], "reason": f"{split} rows that also stand in train"} for row, bad in zip(divided[split], leaked, strict=True) if bad
        ]
        divided[split] = [row for row, bad in zip(divided[split], leaked, strict=True) if not bad]
        seen.update(keys)
    for split in ("train", "test") if config.test else ("train",):
        if not divided[split]:
            raise DataError(f"No {split} rows are left after removing empty, repeated and shared ones. Add data, or change data.{split}.")


def _write(folder: Path, task: Task, columns: list[str], divided: dict[str, list[Row]], dropped: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for rows in divided.values() for row in rows for name in row))
    for split, rows in divided.items():
        pq.write_table(_table(rows, names), folder / f"{split}.parquet", compression="zstd")
    schema = pa.schema([(ROW_ID, pa.int64()), ("reason", pa.string())])
    pq.write_table(pa.Table.from_pylist(dropped, schema), folder / "dropped.parquet", compression="zstd")
    write_json(
        folder / "data.json",
        {
            "task": packed("tasks", task),
            "columns": columns,
            "counts": {split: len(divided[split]) for split in SPLITS},
            "dropped": dict(Counter(d["reason"] for d in dropped)),
        },
    )


def _table(rows: Sequence[Row], names: Sequence[str]) -> pa.Table:
    arrays = []
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            arrays.append(pa.array(values))
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # a column of several types is kept as the text that it shows
            arrays.append(pa.array([None if v is None else str(v) for v in values]))
    return pa.Table.from_arrays(arrays, names=list(names))


def _summary(divided: dict[str, list[Row]], dropped: Sequence[dict[str, Any]]) -> str:
    counts = ", ".join(f"{len(divided[split]):,} {split}" for split in SPLITS)
    return f"Rows: {counts}." + (f" Dropped: {_reasons(dropped)}." if dropped else " None dropped.")


def _reasons(dropped: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in Counter(d["reason"] for d in dropped).items())
