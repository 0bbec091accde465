"""Texts become counted words, the same numbers whatever column and text they stand in."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from penjing.plugins.processors.words import Words

ONE = Words(["text"])


def numbers(text: object) -> dict[int, int]:
    """Return how often each word number stands in `text`."""
    batch = ONE.encode([{"text": text}])
    return dict(zip(batch["features"][0].tolist(), batch["counts"][0].tolist(), strict=True))  # type: ignore[union-attr]


def number(word: str) -> int:
    (found,) = numbers(word)
    return found


def test_a_text_is_its_words_and_how_often_it_has_them() -> None:
    assert numbers("No pain, no gain!") == {number("no"): 2, number("pain"): 1, number("gain"): 1}


@pytest.mark.parametrize(
    ("text", "words"), [("好天气", ["好", "天", "气"]), ("😀ok", ["😀", "ok"]), ("ＡＢＣ Été", ["abc", "été"]), ("na\u00efve", ["naïve"])]
)
def test_words_of_any_script_are_told_apart(text: str, words: list[str]) -> None:
    assert set(numbers(text)) == {number(word) for word in words}


@pytest.mark.parametrize("text", ["", None, " \n!?", "\ud800"])
def test_a_text_without_words_has_none(text: object) -> None:
    assert not numbers(text)


def test_a_word_has_one_number_in_every_column() -> None:
    two = Words(["title", "text"]).encode([{"title": "pain", "text": "pain relief"}, {"text": "pain"}, {"title": 7}])
    assert set(two["features"][0].tolist()) == {number("pain"), number("relief")}
    assert two["features"][1].tolist() == [number("pain")]
    assert two["features"][2].tolist() == [number("7")]


def test_words_do_not_run_on_from_one_column_to_the_next() -> None:
    two = Words(["a", "b"]).encode([{"a": "pain", "b": "killer"}])
    assert number("painkiller") not in two["features"][0]


def test_its_fields_are_json_and_make_it_again() -> None:
    again = Words(**json.loads(json.dumps(asdict(ONE))))
    assert again == ONE
    assert np.array_equal(again.encode([{"text": "so it is"}])["features"].values, ONE.encode([{"text": "so it is"}])["features"].values)


def test_nothing_of_the_rows_is_kept() -> None:
    assert Words.options_from([{"text": "a secret name"}], ["text"], {}) == {"columns": ["text"]}


def test_fewer_buckets_confuse_words() -> None:
    text = " ".join(f"word{i}" for i in range(5000))
    many, few = (len(Words(["text"], buckets).encode([{"text": text}])["features"].values) for buckets in (1 << 22, 1 << 10))
    assert few <= 1 << 9 < many
