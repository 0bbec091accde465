"""Finds out what the user did not say: which task the target asks for, and which columns are read."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from penjing.core import plugins
from penjing.core.errors import DataError, nearest
from penjing.core.protocols import Found
from penjing.core.rows import blank
from penjing.core.tasks import TaskConfig, options_of
from penjing.core.types import Row

V = TypeVar("V")
SAMPLE = 2000
"""Rows looked at to judge a column."""
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


@dataclass(frozen=True, slots=True)
class Reading:
    """What is asked of which columns."""

    task: str
    columns: list[str]
    says: list[str]
    """What was found out, in sentences; empty where the user had said it all."""


def target(given: str | None, names: Sequence[str], source: str) -> str:
    """Return the target column. Raises DataError that offers the nearest name."""
    if given is None:
        raise DataError(f"{source}: which column is to be predicted? Name it with --target COLUMN. There is: {', '.join(names)}.")
    if given not in names:
        raise DataError(f"{source} has no column {given!r}. {nearest(given, names)}")
    return given


def named(columns: Sequence[str] | None, names: Sequence[str], taken: Sequence[str], source: str, key: str) -> None:
    """Raise DataError for `columns`, named under data.`key`, that are not there or are spoken for."""
    for name in columns or ():
        if name not in names:
            raise DataError(f"{source} has no column {name!r} (data.{key}). {nearest(name, names)}")
        if name in taken:
            raise DataError(f"Column {name!r} cannot be in data.{key} and something else as well. Take it out of one of them.")


def reading(asked: TaskConfig | None, given: Sequence[str] | None, rows: Sequence[Row], free: Sequence[str], target: str, source: str) -> Reading:
    """Return the task and the columns that suit the data best: how well the target suits the task times how well the columns suit its inputs.

    given: columns that the user named; free: columns that may be read. Raises DataError where nothing suits.
    """
    sample, wanted = spread(rows), list(given or free)
    if all(blank(row.get(name)) for row in rows for name in wanted):
        raise DataError(f"{source}: {', '.join(map(repr, wanted)) or 'what is left'} is empty in every row. Name other columns with --column COLUMN.")
    values = typed([value for row in rows if not blank(value := row.get(target))])
    name, options = (asked.name, asked.options) if asked is not None else (None, {})
    tasks = {name: plugins.load("tasks", name)} if name else {n: plugins.load("tasks", n) for n in plugins.names("tasks") if _has(n, options)}
    if not tasks:
        raise DataError(f"No task has the options {', '.join(options)}. Name the task they belong to: task: {{name: …}}.")
    found: dict[str, Found] = {kind: plugins.load("inputs", kind).find(sample, free, given) for kind in {task.inputs for task in tasks.values()}}
    suits = {n: (1.0, "") if n == name else task.suits(spread(values)) for n, task in tasks.items()}
    best = max(tasks, key=lambda n: suits[n][0] * found[tasks[n].inputs].fit)
    chosen = found[tasks[best].inputs]
    if not chosen.fit:
        why = (
            max(found.values(), key=lambda one: len(one.why)).why
            or f"none of the columns {', '.join(given or free)} can be read as {tasks[best].inputs}."
        )
        raise DataError(f"{source}: {why}")
    if not suits[best][0]:
        example = f", such as {values[0]!r}" if values else ""
        raise DataError(f"No task suits column {target!r}{example}. Choose another target, or name a task: {', '.join(plugins.names('tasks'))}.")
    says = [chosen.why] if chosen.why else []
    if not name:
        says.append(f"The task is {best}: column {target!r} holds {suits[best][1]}.")
    return Reading(best, chosen.columns, says)


def _has(task: str, options: dict[str, Any]) -> bool:
    kind = options_of(task)
    return not options or (kind is not None and options.keys() <= kind.model_fields.keys())


def typed(values: Sequence[Any]) -> list[Any]:
    """Return texts that all are numbers as numbers, and any others unchanged: a CSV file does not say what its columns hold."""
    if values and all(isinstance(v, str) and _NUMBER.fullmatch(v) for v in values):
        numbers = [float(v) for v in values]
        return [int(n) for n in numbers] if all(n.is_integer() for n in numbers) else numbers
    return list(values)


def spread(values: Sequence[V]) -> Sequence[V]:
    """Return at most SAMPLE of `values` from all over: files are often sorted by class, or alternate between classes."""
    if len(values) <= SAMPLE:
        return values
    return [values[i] for i in sorted(random.Random(0).sample(range(len(values)), SAMPLE))]  # noqa: S311 - nothing secret
