"""What is read of a row before it is cut into tokens."""

from __future__ import annotations

from penjing.core.tokenized import joined


def test_columns_are_joined_in_their_order_and_missing_values_are_empty() -> None:
    rows = [{"title": "good", "text": "works"}, {"text": None}, {"title": 7}]
    assert list(joined(rows, ["title", "text"], 8)) == ["good \n works", " \n ", "7 \n "]


def test_a_huge_text_is_read_as_far_as_its_tokens_could_reach() -> None:
    (text,) = joined([{"text": "ab " * 10_000}], ["text"], 8)
    assert len(text) == 8 * 32


def test_halves_of_characters_are_no_text() -> None:
    assert list(joined([{"text": "a\ud800b"}], ["text"], 8)) == ["a\ufffdb"]
