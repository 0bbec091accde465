from __future__ import annotations

import json
from typing import Any

import pytest

from penjing.core.changes import changed

TOKENIZER: dict[str, Any] = {
    "added_tokens": [{"id": 0, "content": "[PAD]"}],
    "normalizer": {"type": "BertNormalizer", "lowercase": True},
    "model": {"type": "WordPiece", "vocab": {"[PAD]": 0, "good": 1, "bad": 2}},
}


def options(**changes: Any) -> dict[str, Any]:
    return {"columns": ["text"], "tokenizer": json.dumps({**TOKENIZER, **changes}), "max_tokens": 8}


def test_equal_options_have_no_difference_however_they_are_held() -> None:
    assert changed({"a": [1, 2], "b": {"c": 1.0}}, {"a": (1, 2), "b": {"c": 1}}) is None
    assert changed(options(), options()) is None


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"labels": ["a", "b", "c"]}, {"labels": ["c", "b", "a"]}, "the labels 'a' and 'c' have changed places"),
        (
            {"labels": ["a", "b", "c"]},
            {"labels": ["b", "c", "a"]},
            "the labels stand in another order: 'a' was number 0 before and 'b' is after",
        ),
        ({"labels": ["a", "b"]}, {"labels": ["a"]}, "'b' among the labels was there before and is missing after"),
        ({"labels": ["a"]}, {"labels": ["a", "b"]}, "'b' among the labels was missing before and is there after"),
        ({"labels": ["a", "a"]}, {"labels": ["a"]}, "labels had 2 entries before and has 1 after"),
        ({"a": {"b": True}}, {"a": {"b": 1}}, "a.b was true before and is 1 after"),
        ({"a": [{"b": 1}]}, {"a": [{"b": None}]}, "a.0.b was 1 before and is null after"),
        ({"a": 1}, {}, "a was 1 before and is missing after"),
        ({}, {"a": 1}, "a was missing before and is 1 after"),
        ({"a": "x" * 999}, {"a": "y"}, 'a was "' + "x" * 59 + '… before and is "y" after'),
    ],
)
def test_the_first_difference_is_told_by_its_path(before: Any, after: Any, said: str) -> None:
    assert changed(before, after) == said


def test_it_looks_into_the_definition_of_a_tokenizer() -> None:
    found = changed(options(), options(normalizer={"type": "BertNormalizer", "lowercase": False}))
    assert found == "tokenizer.normalizer.lowercase was true before and is false after"


def test_another_vocabulary_is_a_stale_tokenizer_even_where_other_numbers_differ_before_it() -> None:
    after = options(added_tokens=[{"id": 3, "content": "[PAD]"}], model={"type": "WordPiece", "vocab": {"good": 0, "bad": 2, "[PAD]": 3}})
    assert changed(options(), after) == "a stale tokenizer: token '[PAD]' was 0 before and is 3 after (2 of 3 tokens differ)"


def test_a_vocabulary_of_weighed_pieces_is_read_by_their_order() -> None:
    before, after = ({"vocab": [[token, -1.0] for token in tokens]} for tokens in (["a", "b", "c"], ["a", "c", "b"]))
    assert changed(before, after) == "a stale tokenizer: token 'b' was 1 before and is 2 after (2 of 3 tokens differ)"


def test_a_lost_token_is_named() -> None:
    assert changed({"vocab": {"a": 0, "b": 1}}, {"vocab": {"a": 0}}) == (
        "a stale tokenizer: token 'b' was 1 before and is missing after (1 of 2 tokens differ)"
    )
