"""Texts → token ids by a tokenizer whose definition travels with the options: what the processors of texts for encoders share.

The values of a row's columns are joined by a line break that stands alone between two spaces; a missing one counts as empty. Knows neither
where the tokenizer comes from nor what reads the ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from tokenizers import Encoding, Tokenizer

from penjing.core.types import Batch, Ragged, Row

_SEPARATOR = " \n "
_CHARACTERS_A_TOKEN = 32
"""A text is read up to this many characters for each token kept, so that one of ten megabytes costs no more than a long one."""
_SURROGATES = re.compile("[\ud800-\udfff]")
"""Halves of characters, which broken JSON brings; they are no Unicode text, and the tokenizer refuses them."""


@dataclass(frozen=True)
class Tokenized:
    """All of such a processor but `options_from`."""

    inputs: ClassVar[str] = "text"

    columns: list[str]
    """Names of the input columns, in the order they are joined."""
    tokenizer: str
    """The content of a tokenizer.json, without truncation and padding."""
    max_tokens: int
    """Tokens kept of a text, its special tokens included."""

    def encode(self, rows: Sequence[Row]) -> Batch:
        """Return {"input_ids": Ragged int32}; special tokens are kept whatever is cut."""
        return {"input_ids": Ragged.of([encoding.ids for encoding in self.encodings(self.texts(rows))], "int32")}

    def texts(self, rows: Sequence[Row]) -> list[str]:
        """Return what is read of each row, before it is cut into tokens."""
        return list(joined(rows, self.columns, self.max_tokens))

    def encodings(self, texts: Sequence[str]) -> list[Encoding]:
        """Return what the tokenizer says of each text, at most `max_tokens` long, offsets included."""
        encodings: list[Encoding] = self._tokenizer.encode_batch(texts)
        return encodings

    def cut(self, encodings: Sequence[Encoding]) -> str:
        """Return a sentence on how many of these texts are longer than `max_tokens`, and by how much; empty where none is."""
        whole = sorted(len(one.ids) + sum(len(rest.ids) for rest in one.overflowing) for one in encodings if one.overflowing)
        if not whole:
            return ""
        return (
            f"Of {len(encodings)} texts looked at {len(whole)} are longer than max_tokens ({self.max_tokens}) and are read only so far; "
            f"half of those have {whole[len(whole) // 2]:,} tokens or more, as far as they were looked at."
        )

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_str(self.tokenizer)
        tokenizer.enable_truncation(self.max_tokens)
        return tokenizer


def joined(rows: Iterable[Row], columns: Sequence[str], max_tokens: int) -> Iterator[str]:
    """Yield the text of each row, as much of it as `max_tokens` tokens could need."""
    limit = _CHARACTERS_A_TOKEN * max_tokens
    for row in rows:
        text = _SEPARATOR.join("" if row.get(column) is None else str(row[column]) for column in columns)
        yield _SURROGATES.sub("\ufffd", text[:limit])
