"""Hashed n-grams, compared with a plain re-implementation that follows the module's own description step by step."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter

import numpy as np
import pytest

from penjing.core.types import Batch, Ragged
from penjing.plugins.processors import ngrams
from penjing.plugins.processors.ngrams import Ngrams

MODULUS = 2**64
TEXTS = [
    "Works well, mild headache.",
    "WORKS  WELL works well: aaaaaaa aaaaaaa",
    "效果很好,没有副作用。abc中文def",
    "नमस्ते दुनिया — ยาดีมาก — Grüße, Straße, İstanbul, ﬁne",
    "🙂🙂 ok 👍🏽 ☺️ cafe\u0301 café x_y z9 \U000e0041",
    "a\x00b \ud800 lone \udfff, \uffff",
    "",
    " \n\t ",
    "e",
    "𠀀𠀁 \U0003ffff \U00040000 \U0010ffff",
]


def kind(character: str) -> str:
    code, category = ord(character), unicodedata.category(character)
    if code >= 0x40000 or 0xFE00 <= code < 0xFE10:
        return "separates"
    if category == "So":
        return "alone"
    if category[0] not in "LMN" and category != "Pc":
        return "separates"
    return "alone" if any(first <= code < end for first, end in ngrams.WITHOUT_SPACES) else "joins"


def words_of(text: str) -> list[tuple[str, bool]]:
    """Return each word, and whether it is one character that stands alone."""
    words: list[tuple[str, bool]] = []
    open_word = False
    for character in unicodedata.normalize("NFKC", text).lower():
        if kind(character) == "alone":
            words.append((character, True))
        elif kind(character) == "joins":
            words = [*words[:-1], (words[-1][0] + character, False)] if open_word else [*words, (character, False)]
        open_word = kind(character) == "joins"
    return words


def mix(h: int) -> int:
    for multiplier in ngrams.MIX:
        h = (h ^ h >> 33) * multiplier % MODULUS
    return h ^ h >> 33


def polynomial(characters: str) -> int:
    return sum((ord(c) + 1) * pow(ngrams.BASE, k, MODULUS) for k, c in enumerate(characters))


def expected(texts: list[str], word_ngrams: int, char_ngrams: tuple[int, int] | None, buckets: int) -> tuple[Counter[int], Counter[int]]:
    half = buckets // 2
    bucket = lambda h: (h >> 32) * half >> 32  # noqa: E731
    of_words: Counter[int] = Counter()
    of_characters: Counter[int] = Counter()
    for number, text in enumerate(texts):
        words = words_of(text)
        salt = number * ngrams.COLUMN
        ones = [mix((polynomial(word) + ngrams.WORD + salt) % MODULUS) for word, _ in words]
        runs = list(ones)
        for n in range(1, word_ngrams + 1):
            if n > 1:
                runs = [mix((runs[i] * ngrams.BASE + ones[i + n - 1]) % MODULUS) for i in range(len(words) - n + 1)]
            of_words.update(bucket(h) for h in runs)
        for word, alone in words:
            if alone or char_ngrams is None:
                continue
            padded = f" {word} "
            for n in range(char_ngrams[0], min(char_ngrams[1], len(padded) - 1) + 1):
                for i in range(len(padded) - n + 1):
                    of_characters[half + bucket(mix((polynomial(padded[i : i + n]) + ngrams.CHARACTER + salt) % MODULUS))] += 1
    return of_words, of_characters


def row(batch: Batch, i: int) -> tuple[dict[int, int], int]:
    features, counts, ends = batch["features"], batch["counts"], batch["ends"]
    assert isinstance(features, Ragged)
    assert isinstance(counts, Ragged)
    assert ends[i][1] == len(features[i])
    assert (np.diff(features[i]) > 0).all()
    return dict(zip(features[i].tolist(), counts[i].tolist(), strict=True)), int(ends[i][0])


@pytest.mark.parametrize("word_ngrams", [0, 1, 3])
@pytest.mark.parametrize("char_ngrams", [None, (2, 2), (3, 5)])
@pytest.mark.parametrize("buckets", [1 << 20, 3001])
def test_features_are_those_of_a_plain_reading_of_the_description(word_ngrams: int, char_ngrams: tuple[int, int] | None, buckets: int) -> None:
    batch = Ngrams(["text"], word_ngrams, char_ngrams, buckets).encode([{"text": text} for text in TEXTS])
    for i, text in enumerate(TEXTS):
        words, characters = expected([text], word_ngrams, char_ngrams, buckets)
        assert row(batch, i) == (dict(words | characters), len(words)), text


def test_columns_are_told_apart_and_no_ngram_crosses_them() -> None:
    batch = Ngrams(["title", "body"]).encode([{"title": "good pain", "body": "pain killer"}, {"title": None, "body": 12.5}])
    assert row(batch, 0)[0] == dict(sum(expected(["good pain", "pain killer"], 2, (4, 4), 1 << 21), Counter()))
    assert row(batch, 1)[0] == dict(sum(expected(["", "12.5"], 2, (4, 4), 1 << 21), Counter()))


def test_a_row_has_the_same_features_whatever_rows_and_pieces_surround_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": text * repeat} for repeat in (1, 3, 50) for text in TEXTS]
    together = Ngrams(["text"]).encode(rows)
    monkeypatch.setattr(ngrams, "_PIECE", 100)
    in_pieces = Ngrams(["text"]).encode(rows)
    alone = [Ngrams(["text"]).encode([r]) for r in rows]
    for i in range(len(rows)):
        assert row(together, i) == row(in_pieces, i) == row(alone[i], 0)


def test_many_rows_do_not_overflow_the_sort_key() -> None:
    rows = [{"text": f"w{i}"} for i in range(300)]
    batch = Ngrams(["text"], 1, None, 1 << 26).encode(rows)
    for i in (0, 63, 64, 65, 299):
        assert row(batch, i)[0] == dict(expected([f"w{i}"], 1, None, 1 << 26)[0])


def test_counts_stop_at_255() -> None:
    assert set(row(Ngrams(["text"], 1, None).encode([{"text": "a " * 300}]), 0)[0].values()) == {255}


def test_no_rows_give_an_empty_batch() -> None:
    batch = Ngrams(["text"]).encode([])
    assert len(batch["features"]) == len(batch["ends"]) == 0


def test_a_text_longer_than_a_piece_is_read_whole() -> None:
    text = " ".join(f"word{i % 1000}" for i in range(100_000))
    found = row(Ngrams(["text"], 1, None).encode([{"text": text}]), 0)[0]
    assert set(found) == set(expected([" ".join(f"word{i}" for i in range(1000))], 1, None, 1 << 21)[0])


def test_word_bigrams_of_chinese_are_character_bigrams() -> None:
    one, two = (row(Ngrams(["text"], n, None).encode([{"text": "没有副作用"}]), 0)[0] for n in (1, 2))
    assert (len(one), len(two)) == (5, 9)


def test_width_case_and_ligatures_do_not_matter() -> None:
    rows = [{"text": "Ｆｉｎｅ　１２"}, {"text": "ﬁne 12"}, {"text": "fine 12"}]
    batch = Ngrams(["text"]).encode(rows)
    assert row(batch, 0) == row(batch, 1) == row(batch, 2)


def test_hashes_spread_evenly_over_the_buckets() -> None:
    """Chi-squared over 256 parts of the words' half: mean 255, deviation sqrt(2 * 255); five deviations allowed."""
    batch = Ngrams(["text"], 1, None, 1 << 22).encode([{"text": " ".join(f"w{i}" for i in range(100_000))}])
    features = batch["features"]
    assert isinstance(features, Ragged)
    counts = np.bincount(features.values >> 13, minlength=256)
    mean = counts.sum() / 256
    assert abs(((counts - mean) ** 2 / mean).sum() - 255) < 5 * math.sqrt(2 * 255)


def test_options_are_taken_from_what_the_learner_was_given() -> None:
    given = {"word_ngrams": 1, "char_ngrams": [3, 5], "buckets": 4096, "l2": 0.1}
    assert Ngrams.options_from([], ["a", "b"], given) == {"columns": ["a", "b"], "word_ngrams": 1, "char_ngrams": [3, 5], "buckets": 4096}
