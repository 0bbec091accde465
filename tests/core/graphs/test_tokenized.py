"""What is read of a row before it is cut into tokens."""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers

from penjing.core.graphs.tokenized import Tokenized, joined


def test_columns_are_joined_in_their_order_and_missing_values_are_empty() -> None:
    rows = [{"title": "good", "text": "works"}, {"text": None}, {"title": 7}]
    assert list(joined(rows, ["title", "text"], 8)) == ["good \n works", " \n ", "7 \n "]


def test_a_huge_text_is_read_as_far_as_its_tokens_could_reach() -> None:
    (text,) = joined([{"text": "ab " * 10_000}], ["text"], 8)
    assert len(text) == 8 * 32


def test_halves_of_characters_are_no_text() -> None:
    assert list(joined([{"text": "a\ud800b"}], ["text"], 8)) == ["a\ufffdb"]


def test_texts_that_are_cut_are_counted_and_those_that_fit_are_not() -> None:
    known = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    made = Tokenized(["text"], known.to_str(), 4)
    told = made.cut(made.encodings(["a", "a a a a", "a a a a a", "a a a a a a a a a"]))
    assert "Of 4 texts looked at 2 are longer than max_tokens (4)" in told
    assert "9 tokens" in told
    assert made.cut(made.encodings(["a a a a"])) == ""
