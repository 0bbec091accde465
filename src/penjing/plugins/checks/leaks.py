"""How many rows were seen before they were measured on: their inputs also stand among rows that a tier learnt or was chosen from.

Two cases of some kinds of data may be alike in all their inputs, as rows of a table are. There, what chance explains is not counted: as many
as among the rows that were learnt from find their like there (leave one out), up to the 99.9 % quantile of that binomial distribution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from scipy.stats import binom

from penjing.core import plugins
from penjing.core.protocols import Subject
from penjing.core.rows import identity
from penjing.core.types import Measurement, Row

MEASURES = ("leaked_rows",)


def leaks(subject: Subject, seen: Iterable[Sequence[Row]] = ()) -> list[Measurement]:
    """Return how many of `subject.rows` have the same input columns, all of them, as a row of `seen` (any number of chunks, each read once)."""
    columns = sorted(subject.task.example)
    inputs = [identity(row, columns) for row in subject.rows]
    recurs = plugins.load("inputs", subject.task.inputs).recurs
    wanted = set(inputs)
    times: Counter[bytes] = Counter()
    compared = 0
    for chunk in seen:
        compared += len(chunk)
        times.update(one for row in chunk if (one := identity(row, columns)) in wanted or recurs)
    count = sum(one in times for one in inputs)
    method = f"equal in all input columns to one of {compared} rows that were learnt or chosen from"
    if recurs and compared:
        alike = sum(n for n in times.values() if n > 1) / compared
        count = max(0, count - int(binom.ppf(0.999, len(inputs), alike)))
        method += f", beyond what chance explains ({alike:.2%} of these have their like among themselves)"
    return [Measurement("leaked_rows", float(count), "rows", None, None, len(inputs), method, "lower")]
