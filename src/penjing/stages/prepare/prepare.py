"""data → snapshot: reads the user's file, says what it infers, drops what cannot be learnt from, and divides the rows.

Every dropped row is kept by id with its reason in `dropped.parquet`; counts stand in `data.json`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core import plugins
from penjing.core.data import read, source_of
from penjing.core.errors import DataError, nearest
from penjing.core.files import sha256
from penjing.core.protocols import Progress, Task
from penjing.core.rows import NATURAL, ROW_ID, WEIGHT, identity
from penjing.core.snapshot import Split
from penjing.core.tables import dates
from penjing.core.tables.columns import missing
from penjing.core.tasks import TaskConfig
from penjing.core.types import NDArray, Row
from penjing.stages.prepare import infer, splits
from penjing.stages.prepare.config import DataConfig
from penjing.stages.prepare.infer import Reading
from penjing.stages.prepare.weights import weights
from penjing.stages.prepare.write import write

SPLITS: tuple[Split, ...] = ("train", "validation", "calibration", "test")
"""In the order in which a row that stands in several is kept; the first takes what the others leave."""
_MOST_SHARED, _SHORT = 1_000_000, 32
_TOLD = 5
"""Dropped rows whose fault is told one by one."""
CALIBRATED = 756
"""Calibration rows below which the default promise of a cascade cannot be proved: fewer are better spent on training."""


def sources_digest(config: DataConfig) -> dict[str, str]:
    """Return the SHA-256 of every file that the data come from: a changed file makes the stage run again."""
    named = [config.source, *(v for v in (config.validation, config.calibration, config.test, config.unlabelled) if isinstance(v, str))]
    found: dict[str, str] = {}
    for name in named:
        path = Path(name)
        source = source_of(path)
        files = {path} if path.is_file() else {p for p in path.rglob("*") if p.is_file()}
        if path.is_file() and getattr(source, "names_files", False):
            chunks = (chunk for split in (source.splits(path) or [""]) for chunk in source.read(path, split, config.encoding))
            files |= {value for chunk in chunks for row in chunk for value in row.values() if isinstance(value, Path)}
        found |= {str(p): sha256(p) for p in sorted(files)}
    return found


def prepare(config: DataConfig, task: TaskConfig | None, seed: int, folder: Path, progress: Progress, proves: bool = True) -> None:
    """Write the snapshot of `config.source` into `folder`. Raises DataError with file, line or column and the remedy.

    proves: whether there are several tiers, so that calibration rows have something to prove.
    """
    given = _read(config, progress)
    rows = [row for split in given.values() for row in split]
    if not rows:
        raise DataError(f"{config.source} has no rows below its header.")
    names = list(dict.fromkeys(name for row in infer.spread(rows) for name in row if name != ROW_ID))
    target = infer.target(config.target or getattr(source_of(Path(config.source)), "target", None), names, config.source)
    read = _reading(config, target, task, rows, names)
    for sentence in read.says:
        progress.say(sentence)
    kind: type[Task] = plugins.load("tasks", read.task)
    options = task.fields(read.task) if task is not None else {}
    cut = _Cut(config, target, read.columns, proves, _alike(kind, read.columns, target, rows, progress))
    given = {split: cut.clean(found) for split, found in given.items()}
    kept = [row for split in given.values() for row in split]
    if not kept:
        raise DataError(f"{config.source}: no row is left after cleaning ({cut.reasons}). Every input or every {target!r} is empty.")
    whole = kind(**kind.options_from(kept, target, read.columns), **options)
    divided = cut.without_leaks(cut.divide(whole, given, seed))
    unlabelled = cut.unlabelled(_unlabelled(config, read.columns, progress), divided)
    made = kind(**kind.options_from(divided["train"], target, read.columns), **options)
    _check_known(made, divided)
    warnings = [*cut.says, *plugins.load("inputs", kind.inputs).examine(divided["train"], read.columns, target)]
    weighed = weights(divided["train"], made, config.weight, config.class_weights)
    if weighed is not None:
        divided["train"] = [{**row, WEIGHT: weight} for row, weight in zip(divided["train"], weighed.tolist(), strict=True)]
    write(folder, made, read.columns, divided | {"unlabelled": unlabelled}, cut.dropped, warnings)
    counts = ", ".join(f"{len(rows):,} {split}" for split, rows in (divided | {"unlabelled": unlabelled}).items() if rows)
    for sentence in [*warnings, f"Rows: {counts}. Dropped: {cut.reasons}."]:
        progress.say(sentence)


def _reading(config: DataConfig, target: str, task: TaskConfig | None, rows: Sequence[Row], names: Sequence[str]) -> Reading:
    """Return the task and the columns it reads. Raises DataError for a column that is not there or is asked to be two things."""
    taken = [target]
    for key in ("group", "time", "weight"):
        if (name := getattr(config, key)) is not None:
            infer.named([name], names, [target], config.source, key)
            taken.append(name)
    # A time or a weight may be an input as well, but only where the user says so.
    infer.named(config.columns, names, [target, *([config.group] if config.group else [])], config.source, "columns")
    infer.named(config.exclude, names, [target, *(config.columns or [])], config.source, "exclude")
    free = [name for name in names if name not in taken and name not in config.exclude]
    return infer.reading(task, config.columns, rows, free, target, config.source)


def _alike(kind: type[Task], columns: Sequence[str], target: str, rows: Sequence[Row], progress: Progress) -> bool:
    """Return whether rows that are equal are different cases all the same: many are, of a kind of input that allows it."""
    if not plugins.load("inputs", kind.inputs).recurs:
        return False
    repeated = len(rows) - len({identity(row, [*columns, target]) for row in rows})
    if repeated < NATURAL * len(rows):
        return False
    share = repeated / len(rows)
    progress.say(f"{repeated:,} rows ({share:.0%}) equal another in all columns that are read: they are taken as different cases, and kept.")
    return True


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
    seen: dict[str, str] = {}
    number = 0
    progress.start(f"read {path.name}", 0)
    for split, (file, inner) in parts.items():
        given[split] = []
        for chunk in read(file, inner, config.encoding):
            given[split] += [{**_shared(row, seen), ROW_ID: number + i} for i, row in enumerate(chunk, 1)]
            number += len(chunk)
            progress.advance(len(chunk))
    progress.finish()
    return given


def _shared(row: Row, seen: dict[str, str]) -> Row:
    """Return `row` with one object for all short texts that are equal: a table repeats its categories a million times."""
    if len(seen) > _MOST_SHARED:
        return row
    return {name: seen.setdefault(value, value) if isinstance(value, str) and len(value) <= _SHORT else value for name, value in row.items()}


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
    alike: bool
    """Whether equal rows are different cases."""
    dropped: list[dict[str, Any]] = field(default_factory=list)
    says: list[str] = field(default_factory=list)
    """Why rows were dropped, where a cleaner can tell more than its name."""

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
            if not (self.alike and name == "repeated" and "clean" not in self.config.model_fields_set):
                cleaner = plugins.load("cleaners", name)
                stays = cleaner(rows, self.columns, self.target)
                self._tell(name, cleaner, [rows[i] for i in np.flatnonzero(~stays)])
                rows = self.keep(rows, stays, name)
        return rows

    def _tell(self, name: str, cleaner: Any, gone: Sequence[Row]) -> None:
        """Say why the first of the dropped rows are `gone`, where the cleaner's module can tell (`why(row, columns)`)."""
        why = getattr(sys.modules[cleaner.__module__], "why", None)
        if why is not None and gone:
            more = f"; and {len(gone) - _TOLD} more" if len(gone) > _TOLD else ""
            self.says.append(f"Dropped as {name}: {'; '.join(why(row, self.columns) for row in gone[:_TOLD])}{more}.")

    def divide(self, task: Task, given: dict[str, list[Row]], seed: int) -> dict[str, list[Row]]:
        """Return the rows of each split: those that came so, and the rest divided by the shares of the config."""
        whole = given.get("", given.get("train", []))
        wanted = self._shares(given, len(whole))
        if wanted[-1]:
            whole = self._without_rare(task, whole)
        strata = task.strata(whole)
        if self.config.time is not None:
            split_B = splits.ordered(self._seconds(whole), wanted)
        elif self.config.group is None:
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

    def _seconds(self, rows: Sequence[Row]) -> NDArray:
        """Return (B,) when each row was. Raises DataError for one that does not say."""
        name = str(self.config.time)
        if self.config.group is not None:
            raise DataError("Rows are divided by data.time or kept together by data.group, and not both: leave one of them out.")
        values = [row.get(name) for row in rows]
        form = dates.format_of([value for value in values if not missing(value)], name)
        if form is not None:
            found = dates.seconds(values, form)
        else:
            try:
                found = np.array([float(value) for value in values])  # type: ignore[arg-type]
            except (TypeError, ValueError):
                found = np.full(len(values), np.nan)
        if not (known := np.isfinite(found)).all():
            first = int(np.flatnonzero(~known)[0])
            raise DataError(
                f"Column {name!r} (data.time) holds {values[first]!r} in row {rows[first][ROW_ID]}, which is neither a date like the others "
                "nor a number. Correct that row, or drop it."
            )
        return found

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
            named = ", ".join(f"{row[self.target]!r} ({row.get('file') or f'row {row[ROW_ID]}'})" for row in alone[:_TOLD])
            raise DataError(
                f"Column {self.target!r}: {len(alone)} class(es) with one row: {named}. A class needs rows to learn from and rows to test on: "
                "add rows, or drop these with --set data.rare_classes=drop."
            )
        return self.keep(rows, (s not in rare for s in strata), "class with one row")

    def _identity(self, row: Row) -> set[tuple[str, str | bytes]]:
        """Return what must not stand in two splits: the inputs, where they tell cases apart, and the group where there is one."""
        inputs: set[tuple[str, str | bytes]] = set() if self.alike else {("inputs", identity(row, self.columns))}
        return {*inputs, ("group", self._group(row))} if self.config.group else inputs

    def without_leaks(self, divided: dict[str, list[Row]]) -> dict[str, list[Row]]:
        """Remove rows whose inputs, or whose group, also stand in an earlier split: they would measure memory."""
        seen: set[tuple[str, str | bytes]] = set()
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
