"""Text → token ids by the model's own tokenizer, whose definition travels with the options. Knows neither transformers nor torch.

The values of a row's columns are joined by a line break that stands alone between two spaces; a missing one counts as empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Encoding, Tokenizer

from penjing.core.errors import PlanError
from penjing.core.types import Batch, Ragged, Row

_SEPARATOR = " \n "
_CHARACTERS_A_TOKEN = 32
"""A text is read up to this many characters for each token kept, so that one of ten megabytes costs no more than a long one."""
_SURROGATES = re.compile("[\ud800-\udfff]")
"""Halves of characters, which broken JSON brings; they are no Unicode text, and the tokenizer refuses them."""


@dataclass(frozen=True)
class Tokens:
    inputs: ClassVar[str] = "text"

    columns: list[str]
    """Names of the input columns, in the order they are joined."""
    tokenizer: str
    """The content of the model's tokenizer.json, without its truncation and padding."""
    max_tokens: int
    """Tokens kept of a text, its special tokens included."""

    @classmethod
    def options_from(cls, rows: Sequence[Row], columns: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields, from `given`: "model", the model's folder, and "max_tokens". Learns nothing from `rows`.

        Raises PlanError where the folder holds no readable tokenizer.json.
        """
        path = Path(given["model"]) / "tokenizer.json"
        try:
            described = json.loads(path.read_text(encoding="utf-8"))
            text = json.dumps({**described, "truncation": None, "padding": None}, ensure_ascii=False, separators=(",", ":"))
            Tokenizer.from_str(text)
        except FileNotFoundError as error:
            raise PlanError(
                f"{path} is missing. Make it where transformers is installed: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
            ) from error
        except Exception as error:  # the tokenizers library raises no narrower class
            raise PlanError(f"{path} cannot be read as a tokenizer: {error}. Fetch the model's folder again.") from error
        return {"columns": list(columns), "tokenizer": text, "max_tokens": given["max_tokens"]}

    def encode(self, rows: Sequence[Row]) -> Batch:
        """Return {"input_ids": Ragged int32}; special tokens are kept whatever is cut."""
        return {"input_ids": Ragged.of([encoding.ids for encoding in self.encodings(self.texts(rows))], "int32")}

    def texts(self, rows: Sequence[Row]) -> list[str]:
        """Return what the model reads of each row, before it is cut into tokens."""
        limit = _CHARACTERS_A_TOKEN * self.max_tokens
        joined = (_SEPARATOR.join("" if row.get(c) is None else str(row[c]) for c in self.columns) for row in rows)
        return [_SURROGATES.sub("\ufffd", text[:limit]) for text in joined]

    def encodings(self, texts: Sequence[str]) -> list[Encoding]:
        """Return what the tokenizer says of each text, at most `max_tokens` long, offsets included."""
        encodings: list[Encoding] = self._tokenizer.encode_batch(texts)
        return encodings

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_str(self.tokenizer)
        tokenizer.enable_truncation(self.max_tokens)
        return tokenizer
