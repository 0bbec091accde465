"""Text → token ids by the model's own tokenizer, whose definition travels with the options. Knows neither transformers nor torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from penjing.core.errors import PlanError
from penjing.core.graphs.tokenized import Tokenized
from penjing.core.types import Row


@dataclass(frozen=True)
class Tokens(Tokenized):
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
