"""Which share of some texts a tokenizer does not know, and in which script that share is written. Knows no options and no model."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

_NAMES = {"CJK": "Han", "KANGXI": "Han", "HIRAGANA": "Japanese kana", "KATAKANA": "Japanese kana"}
"""Scripts whose characters Unicode names by another word than the script's."""


def unknown(tokenizer: str, texts: Sequence[str], encodings: Sequence[Any]) -> tuple[float, str]:
    """Return the share (0 to 1) of characters that stand in unknown tokens, and the script that most of these characters belong to.

    Weighed by characters, since WordPiece makes one unknown token of a whole word. A byte-level tokenizer knows every text: 0.
    """
    unknown_token = _unknown_token(json.loads(tokenizer)["model"])
    total, missed = 0, Counter[str]()
    for text, encoding in zip(texts, encodings, strict=True):
        for token, special, (start, end) in zip(encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True):
            if not special:
                total += end - start
                if token == unknown_token:
                    missed.update(text[start:end])
    scripts = Counter[str]()
    for character, count in missed.items():
        scripts[script_of(character)] += count
    return (missed.total() / total if total else 0.0), (scripts.most_common(1)[0][0] if scripts else "")


def script_of(character: str) -> str:
    """Return the script of `character` by the first word of its Unicode name: Han, Cyrillic, Arabic."""
    name = unicodedata.name(character, "UNNAMED SYMBOL")
    word = name.split()[0].split("-")[0]
    return _NAMES.get(word, word.capitalize()) if character.isalpha() else "symbols"


def _unknown_token(model: dict[str, Any]) -> str | None:
    """Return the unknown token of a tokenizer.json's `model`: named (WordPiece, BPE, WordLevel) or by its place (Unigram)."""
    if isinstance(model.get("unk_id"), int):
        return str(model["vocab"][model["unk_id"]][0])
    return model.get("unk_token")
