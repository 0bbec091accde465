"""Pieces of words are learnt from the training rows, the same each time, and no text is unknown."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from penjing.plugins.processors.subwords import SPECIAL, Subwords

ROWS = [{"text": f"The doctor gave me number {i % 7}, and this works very well"} for i in range(60)]


def made(vocabulary: int = 400, max_tokens: int = 16) -> Subwords:
    return Subwords(**Subwords.options_from(ROWS, ["text"], {"vocabulary": vocabulary, "max_tokens": max_tokens}))


def ids(processor: Subwords, text: Any) -> list[int]:
    found = processor.encode([{"text": text}])["input_ids"]
    assert found.values.dtype == np.int32
    return list(found[0])


def words(processor: Subwords, text: str) -> list[str]:
    return [processor.names["input_ids"][i] for i in ids(processor, text)]


def test_words_of_the_training_rows_become_one_token() -> None:
    assert words(made(), "The DOCTOR works") == ["[CLS]", "Ġthe", "Ġdoctor", "Ġworks", "[SEP]"]
    assert len(words(made(), "zygote")) > 4


@pytest.mark.parametrize("text", ["好天气", "😀👩‍👩‍👧", "\0", "\ud800 good", "ŷñîçøðé", 3.5])
def test_no_character_is_unknown(text: Any) -> None:
    found = ids(made(max_tokens=64), text)
    assert len(found) > 2
    assert not set(found[1:-1]) & set(range(len(SPECIAL)))


@pytest.mark.parametrize("text", ["", None])
def test_a_text_without_words_is_its_ends_alone(text: Any) -> None:
    assert ids(made(), text) == [1, 2]


@pytest.mark.changes("learners.text-network.vocabulary")
def test_vocabulary_is_how_many_tokens_there_are_at_most() -> None:
    names = {vocabulary: made(vocabulary).names["input_ids"] for vocabulary in (260, 300, 100_000)}
    assert [len(names[vocabulary]) for vocabulary in (260, 300)] == [260, 300]
    assert 300 < len(names[100_000]) < 1000, "there are no more pairs in these texts"
    assert [tuple(found[:4]) for found in names.values()] == [SPECIAL] * 3
    assert len(ids(made(260), "doctor")) > len(ids(made(400), "doctor"))


@pytest.mark.changes("learners.text-network.max_tokens")
def test_max_tokens_is_how_much_is_read_and_the_end_stays() -> None:
    for most in (8, 12):
        found = ids(made(max_tokens=most), "works " * 50)
        assert (len(found), found[0], found[-1]) == (most, 1, 2)


def test_the_same_rows_give_the_same_tokenizer_in_another_process() -> None:
    program = (
        "import json; from penjing.plugins.processors.subwords import Subwords;"
        f"print(json.dumps(Subwords.options_from({ROWS!r}, ['text'], {{'vocabulary': 400, 'max_tokens': 16}})))"
    )
    for seed in ("1", "2"):
        done = subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["tokenizer"] == made().tokenizer


def test_its_definition_is_a_tokenizer_of_the_library() -> None:
    theirs = Tokenizer.from_str(made().tokenizer)
    assert theirs.encode("this works").ids == ids(made(), "this works")


def test_serving_needs_no_torch() -> None:
    program = "import sys; import penjing.plugins.processors.subwords; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"
