"""The `data:` section of penjing.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penjing.core.config import Section
from penjing.stages.prepare.weights import ClassWeights


class DataConfig(Section):
    """What to learn from."""

    source: str
    """File or folder: CSV, TSV, JSONL, Parquet, a folder of images, or a Hugging Face dataset folder."""
    target: str | None = None
    """Column to predict."""
    columns: list[str] | None = None
    """Columns to read; found out where not given."""
    exclude: list[str] = Field(default=[])
    """Columns not to read, such as what is only known afterwards."""
    group: str | None = None
    """Column whose rows must stay in one split together (a patient, an author)."""
    time: str | None = None
    """Column of dates or numbers by which the rows are divided: the earliest to learn from, the latest to test on."""
    weight: str | None = None
    """Column that says how much a row counts while learning (0 or more). Figures in the report count every row alike."""
    class_weights: ClassWeights | None = None
    """How much the rows of a class count while learning: {LABEL: WEIGHT}, 1 where not named, or "balanced" for as much as any other class."""
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
    clean: list[str] = Field(default=["unanswered", "empty", "unreadable", "repeated"])
    """Cleaners that drop rows, in their order."""
    rare_classes: Literal["refuse", "drop"] = "refuse"
    """What to do about classes with one row, which can stand in one split only."""
