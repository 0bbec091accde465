"""Texts of any script → which words they hold, and how often. Knows nothing of labels, of vectors or of how often a word is seen.

Words are those of the processor `ngrams`, without runs of them and without their characters: NFKC, lower case, single characters in scripts
that put no space between words, single symbols such as emoji. All columns of a row are one text here: a word has one vector, wherever it
stands. A word's number is a hash, so a learner finds the number of any word, and no package carries the words of its training rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from penjing.core import plugins
from penjing.core.types import Batch, Row

_SEPARATOR = " \n "
_BUCKETS = 1 << 22
"""Half of them are for words: of 30,000 different ones about 200 share a number with another."""


@dataclass(frozen=True)
class Words:
    """Rows → {"features": Ragged int32 numbers of words, each once a row, rising; "counts": Ragged uint8, 255 standing for more;
    "ends": (B, 2) int32, how many different words the row has, twice}: what the engine `sparse-linear` reads.
    """

    inputs: ClassVar[str] = "text"

    columns: Sequence[str]
    buckets: int = _BUCKETS
    """Twice the number of different words that can be told apart."""

    @classmethod
    def options_from(cls, rows: Sequence[Row], columns: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the input columns; nothing is learnt from rows."""
        return {"columns": list(columns)}

    def encode(self, rows: Sequence[Row]) -> Batch:
        batch: Batch = self._ngrams.encode([{"text": self._text(row)} for row in rows])
        return batch

    def _text(self, row: Row) -> str:
        return _SEPARATOR.join("" if row.get(c) is None else str(row[c]) for c in self.columns)

    @cached_property
    def _ngrams(self) -> Any:
        return plugins.load("processors", "ngrams")(["text"], word_ngrams=1, char_ngrams=None, buckets=self.buckets)
