"""A number for each row of a table: of numbers, categories, dates and texts in columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from penjing.core import one_number
from penjing.core.config import Section
from penjing.core.tables import of_table


@dataclass(frozen=True)
class TabularRegression(of_table.OfTable, one_number.OneNumber):
    Options: ClassVar[type[Section]] = of_table.Options
