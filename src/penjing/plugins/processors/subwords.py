"""Text → ids of pieces of words, by a tokenizer that is learnt from the training rows: byte-level BPE, which knows every script.

Bytes are what it begins with, so that no character is unknown to it (Radford et al. 2019, section 2.2); pairs that stand together most often
are joined (Sennrich, Haddow and Birch 2016, section 3.2) until there are as many tokens as asked for. Letters are read in lower case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from penjing.core.graphs.tokenized import Tokenized, joined
from penjing.core.types import Row

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
"""The tokens 0 to 3: what fills up, begins and ends a text, and what hides a token from a model that is to guess it."""
_ENOUGH_ROWS = 50_000
"""Rows, evenly spread, that pairs are counted in: more of them would hardly change what is found."""
_TWICE = 2
"""A pair that stands in one place only is no part of the language."""


@dataclass(frozen=True)
class Subwords(Tokenized):
    @classmethod
    def options_from(cls, rows: Sequence[Row], columns: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields, learnt from `rows` and from `given`: "vocabulary", the most tokens that may be told apart, and "max_tokens"."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        trainer = trainers.BpeTrainer(
            vocab_size=given["vocabulary"],
            min_frequency=_TWICE,
            special_tokens=list(SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),  # in the order of one run, where a set has another in each
            show_progress=False,
        )
        read = (rows[i] for i in range(0, len(rows), max(1, -(-len(rows) // _ENOUGH_ROWS))))
        tokenizer.train_from_iterator(joined(read, columns, given["max_tokens"]), trainer)
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
        described = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
        return {"columns": list(columns), "tokenizer": described, "max_tokens": given["max_tokens"]}

    @classmethod
    def special(cls) -> Mapping[str, int]:
        """Return the id of each token that is no part of a text."""
        return {token: i for i, token in enumerate(SPECIAL)}

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        """What each id stands for."""
        vocabulary = self._tokenizer.get_vocab()
        return {"input_ids": sorted(vocabulary, key=vocabulary.__getitem__)}
