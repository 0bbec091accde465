"""data → snapshot: reads the user's file, says what it infers, drops what cannot be learnt from, and divides the rows.

Every dropped row is kept by id with its reason in `dropped.parquet`; counts stand in `data.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
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
from penjing.core.snapshot import ROW_ID, Split
from penjing.core.tier import packed
from penjing.core.types import Row
from penjing.stages.prepare import infer, splits

SPLITS: tuple[Split, ...] = ("train", "validation", "calibration", "test")
"""In the order in which a row that stands in several is kept; the first takes what the others leave."""
CALIBRATED = 756
"""Calibration rows below which the default promise of a cascade cannot be proved: fewer are better spent on training."""


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
    calibration: float | str | None = None
    """Share of the training rows kept to prove the cascade's promise on (0 to 0.5), or a file of its own. Where not given, a tenth if there are
    several tiers and that is 756 rows, enough for the default promise; else none."""
    test: float | str = 0.2
    """Share of all rows kept to measure on (0 to 0.5), or a file of its own."""
    unlabelled: str | None = None
    """File of rows without answers, for tiers that learn from a teacher."""
    clean: list[str] = Field(default=["empty", "repeated"])
    """Cleaners that drop rows, in their order."""
    rare_classes: Literal["refuse", "drop"] = "refuse"
    """What to do about classes with one row, which can stand in one split only."""


def sources_digest(config: DataConfig) -> dict[str, str]:
    """Return the SHA-256 of every file that the data come from: a changed file makes the stage run again."""
    named = [config.source, *(v for v in (config.validation, config.calibration, config.test, config.unlabelled) if isinstance(v, str))]
    found: dict[str, str] = {}
    for name in named:
        path = Path(name)
        source_of(path)
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        found |= {f"{name}/{p.relative_to(path)}" if p != path else name: sha256(p) for p in files}
    return found


def prepare(config: DataConfig, task: str | None, seed: int, folder: Path, progress: Progress, proves: bool = True) -> None:
    """Write the snapshot of `config.source` into `folder`. Raises DataError with file, line or column and the remedy.

    proves: whether there are several tiers, so that calibration rows have something to prove.
    """
    given = _read(config, progress)
    rows = [row for split in given.values() for row in split]
    if not rows:
        raise DataError(f"{config.source} has no rows below its header.")
    names = list(dict.fromkeys(name for row in infer.spread(rows) for name in row if name != ROW_ID))
    target = infer.target(config.target, names, config.source)
    if config.group is not None and config.group not in names:
        raise DataError(f"{config.source} has no column {config.group!r} (data.group). {nearest(config.group, names)}")
    columns = infer.text_columns(config.text, rows, names, [target, config.group], config.source)
    cut = _Cut(config, target, columns.value, proves)
    given = {split: cut.clean(found) for split, found in given.items()}
    kept = [row for split in given.values() for row in split]
    if not kept:
        raise DataError(f"{config.source}: no row is left after cleaning ({cut.reasons}). Every text or every {target!r} is empty.")
    chosen = infer.task(task, infer.typed([row[target] for row in kept]), target)
    for sentence in (columns.why, chosen.why):
        if sentence:
            progress.say(sentence)
    kind: type[Task] = plugins.load("tasks", chosen.value)
    divided = cut.without_leaks(cut.divide(kind(**kind.options_from(kept, target, columns.value)), given, seed))
    unlabelled = cut.unlabelled(_unlabelled(config, columns.value, progress), divided)
    made = kind(**kind.options_from(divided["train"], target, columns.value))
    _check_known(made, divided)
    _write(folder, made, columns.value, divided | {"unlabelled": unlabelled}, cut.dropped)
    counts = ", ".join(f"{len(rows):,} {split}" for split, rows in (divided | {"unlabelled": unlabelled}).items() if rows)
    progress.say(f"Rows: {counts}. Dropped: {cut.reasons}.")


def _read(config: DataConfig, progress: Progress) -> dict[str, list[Row]]:
    """Return the rows of each split that the user's files come with, numbered as they stand; "" is what is still to be divided."""
    path = Path(config.source)
    parts = {split or "": (path, split) for split in (source_of(path).splits(path) or [""])}
    if len(parts) == 1 and "train" in parts:
        parts = {"": parts["train"]}
    for split, value in (("validation", config.validation), ("calibration", config.calibration), ("test", config.test)):
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
            given[split] += [{**row, ROW_ID: number + i} for i, row in enumerate(chunk, 1)]
            number += len(chunk)
            progress.advance(len(chunk))
    progress.finish()
    return given


def _unlabelled(config: DataConfig, columns: Sequence[str], progress: Progress) -> list[Row]:
    """Return the rows of `data.unlabelled`, numbered from minus one down: they have no place among the labelled ones."""
    if config.unlabelled is None:
        return []
    path = Path(config.unlabelled)
    rows = [row for chunk in read(path, next(iter(source_of(path).splits(path)), ""), config.encoding) for row in chunk]
    progress.say(f"Rows without answers: {len(rows):,} from {path.name}.")
    for column in columns:
        if rows and column not in rows[0]:
            raise DataError(f"{path} has no column {column!r}, which the task reads (data.unlabelled). {nearest(column, rows[0])}")
    return [{**row, ROW_ID: -i} for i, row in enumerate(rows, 1)]


@dataclass
class _Cut:
    """Decides which rows stay and where they go, and remembers each that went with its reason."""

    config: DataConfig
    target: str
    columns: list[str]
    proves: bool
    dropped: list[dict[str, Any]] = field(default_factory=list)

    @property
    def reasons(self) -> str:
        return ", ".join(f"{n:,} {reason}" for reason, n in Counter(d["reason"] for d in self.dropped).items()) or "none"

    def keep(self, rows: list[Row], keep: Iterable[bool], reason: str) -> list[Row]:
        """Return the rows to keep, and remember the others."""
        kept: list[Row] = []
        for row, stays in zip(rows, keep, strict=True):
            if stays:
                kept.append(row)
            else:
                self.dropped.append({ROW_ID: row[ROW_ID], "reason": reason})
        return kept

    def clean(self, rows: list[Row]) -> list[Row]:
        for name in self.config.clean:
            rows = self.keep(rows, plugins.load("cleaners", name)(rows, self.columns, self.target), name)
        return rows

    def divide(self, task: Task, given: dict[str, list[Row]], seed: int) -> dict[str, list[Row]]:
        """Return the rows of each split: those that came so, and the rest divided by the shares of the config."""
        whole = given.get("", given.get("train", []))
        wanted = self._shares(given, len(whole))
        if wanted[-1]:
            whole = self._without_rare(task, whole)
        strata = task.strata(whole)
        if self.config.group is None:
            split_B = splits.stratified(strata, wanted, seed)
        else:
            groups = np.array([self._group(row) for row in whole])
            split_B = splits.grouped(strata, groups, wanted, seed)
            if len(set(groups[split_B == 0])) == len(set(groups)) and sum(wanted[1:]) > 0:
                raise DataError(
                    f"Column {self.config.group!r} has too few groups ({len(set(groups))}) to divide by. Choose another data.group, or none."
                )
        divided: dict[str, list[Row]] = {name: [whole[i] for i in np.flatnonzero(split_B == s)] for s, name in enumerate(SPLITS)}
        return divided | {name: rows for name, rows in given.items() if name in SPLITS[1:]}

    def _shares(self, given: Container[str], count: int) -> list[float]:
        """Return the shares of the splits among the `count` rows that came undivided."""
        shares = dict.fromkeys(SPLITS[1:], 0.0)
        for split in shares:
            value = getattr(self.config, split)
            if isinstance(value, float | int) and split not in given:
                if not 0 <= value <= 0.5:
                    raise DataError(f"data.{split} is {value}: expected a share of the rows from 0 to 0.5, or the name of a file.")
                shares[split] = value
        if self.proves and self.config.calibration is None and "calibration" not in given and 0.1 * (1 - shares["test"]) * count >= CALIBRATED:
            shares["calibration"] = 0.1
        # Validation and calibration are shares of the rows that are not for testing.
        for split in ("validation", "calibration"):
            shares[split] *= 1 - shares["test"]
        return [1 - sum(shares.values()), *shares.values()]

    def _group(self, row: Row) -> str:
        return str(row.get(self.config.group or ""))

    def _without_rare(self, task: Task, rows: list[Row]) -> list[Row]:
        """Return `rows` without the classes that one row has, or refuse them, as the user chose."""
        strata = task.strata(rows).tolist()
        rare = {s for s, n in Counter(strata).items() if n == 1}
        if task.target_of(rows).ndim > 1 or not rare:
            return rows
        alone = [row for row, s in zip(rows, strata, strict=True) if s in rare]
        if self.config.rare_classes == "refuse":
            named = ", ".join(f"{row[self.target]!r} (row {row[ROW_ID]})" for row in alone[:5])
            raise DataError(
                f"Column {self.target!r}: {len(alone)} class(es) with one row: {named}. A class needs rows to learn from and rows to test on: "
                "add rows, or drop these with --set data.rare_classes=drop."
            )
        return self.keep(rows, (s not in rare for s in strata), "class with one row")

    def _identity(self, row: Row) -> set[tuple[str, ...]]:
        """Return what must not stand in two splits: the inputs, and the group where there is one."""
        inputs = ("text", *(str(row.get(c)) for c in self.columns))
        return {inputs, ("group", self._group(row))} if self.config.group else {inputs}

    def without_leaks(self, divided: dict[str, list[Row]]) -> dict[str, list[Row]]:
        """Remove rows whose inputs, or whose group, also stand in an earlier split: they would measure memory."""
        seen: set[tuple[str, ...]] = set()
        for split in SPLITS:
            keys = [self._identity(row) for row in divided[split]]
            divided[split] = self.keep(divided[split], (not key & seen for key in keys), f"{split} rows that also stand in train")
            seen.update(*keys)
        for split in ("train", "test") if self.config.test else ("train",):
            if not divided[split]:
                raise DataError(f"No {split} rows are left after removing empty, repeated and shared ones. Add data, or change data.{split}.")
        return divided

    def unlabelled(self, rows: list[Row], divided: dict[str, list[Row]]) -> list[Row]:
        """Return the unlabelled `rows` that say something new; above all none that is held back to choose, prove or measure by."""
        for name in self.config.clean:
            labelled = [{**row, self.target: "?"} for row in rows]
            rows = self.keep(rows, plugins.load("cleaners", name)(labelled, self.columns, self.target), name)
        seen = {key for split in SPLITS for row in divided[split] for key in self._identity(row)}
        return self.keep(rows, (not self._identity(row) & seen for row in rows), "unlabelled rows that also stand among the labelled")


def _check_known(task: Task, divided: dict[str, list[Row]]) -> None:
    for name in SPLITS:
        try:
            task.target_of(divided[name])
        except DataError as error:
            raise DataError(f"In the {name} rows: {error} Add training rows with it, or remove it from the {name} rows.") from error


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
            "counts": {split: len(rows) for split, rows in divided.items()},
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
