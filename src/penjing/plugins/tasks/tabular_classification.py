"""One label for each row of a table: of numbers, categories, dates and texts in columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from penjing.core import one_label
from penjing.core.config import Section
from penjing.core.tables import of_table


class Options(one_label.Options, of_table.Options):
    """What a user may set for a table's label."""


@dataclass(frozen=True)
class TabularClassification(of_table.OfTable, one_label.OneLabel):
    Options: ClassVar[type[Section]] = Options
