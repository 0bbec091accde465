"""Texts of any script → hashed word and character n-grams with their counts. Knows nothing of labels, weights or how often a feature is seen.

Nothing is learnt from rows, so the same text gives the same features everywhere; no Python loop runs over characters or n-grams.

How a text becomes features (all arithmetic modulo 2**64; a plain re-implementation stands in tests/plugins/processors/test_ngrams.py):
1. NFKC, then lower case. A character is part of a word (letter, mark, number, underscore), a word of its own (scripts written without
   spaces, such as Chinese and Thai, and symbols, such as emoji), or it separates words. So word bigrams of Chinese are character bigrams.
2. P(c) = sum of (c[k] + 1) * BASE**k over the code points c. A word w has g1 = mix(P(w) + WORD + salt), the n words from w on have
   gn(w) = mix(gn-1(w) * BASE + g1(the last of them)); mix is the finaliser of MurmurHash3 and salt is column number * COLUMN.
3. The character n-grams of a word are those of the word between two spaces, but for the whole, which is the word again; words that are
   one symbol have none. Each has mix(P(n-gram) + CHARACTER + salt). N-grams stay within their column.
4. Half of the buckets are for words, the other half for characters. The bucket in its half is (hash // 2**32) * half // 2**32.

Columns are told apart by the salt rather than joined: "pain" as a condition and "pain" in a review mean different things. (On drug reviews
with the columns review, condition and name this was better than a weight for each column, which makes a short column as loud as a long one.)

Shapes: B rows, L characters, W words, N features.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from penjing.core.machine import Machine
from penjing.core.types import Batch, NDArray, Ragged, Row, concatenate

BASE = 0x9E6C63D0676A9A99
WORD = 0x2545F4914F6CDD1D
CHARACTER = 0xD1342543DE82EF95
MIX = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)
"""Multipliers of MurmurHash3's 64-bit finaliser (Appleby 2011, fmix64)."""
COLUMN = 0x9E3779B97F4A7C15
PAD = ord(" ")
SEPARATES, JOINS, STANDS_ALONE = 0, 1, 2
WITHOUT_SPACES = (
    (0x0E00, 0x10A0),  # Thai, Lao, Tibetan, Myanmar
    (0x1780, 0x1800),  # Khmer
    (0x1950, 0x19E0),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AB0),  # Tai Tham
    (0x1B00, 0x1B80),  # Balinese
    (0x2E80, 0x3130),  # CJK radicals, Hiragana, Katakana, Bopomofo
    (0x31A0, 0xA4D0),  # Bopomofo and Katakana extensions, CJK, Yi
    (0xA980, 0xAA00),  # Javanese
    (0xAA60, 0xAAE0),  # Myanmar extensions, Tai Viet
    (0xF900, 0xFB00),  # CJK compatibility
    (0x1AFF0, 0x1B170),  # Kana supplements
    (0x20000, 0x40000),  # CJK extensions
)
"""Blocks of scripts that put no space between words: first code point, and the one after the last."""
VARIATION_SELECTORS = (0xFE00, 0xFE10)

_PLANES = 0x40000
"""Code points from here on are private or unassigned (or invisible tags): they separate."""
_PIECE = 1 << 17
"""Characters worked on at a time: their arrays fit the second-level cache. A row is never cut."""


@dataclass(frozen=True)
class Ngrams:
    """Rows → {"features": Ragged int32 bucket numbers, each once a row, rising; "counts": Ragged uint8, 255 standing for more;
    "ends": (B, 2) int32, how many features of the row are word n-grams, and how many there are with the character n-grams that follow}.
    """

    inputs: ClassVar[str] = "text"

    columns: Sequence[str]
    word_ngrams: int = 2
    """Longest run of words that is a feature; 0 for none."""
    char_ngrams: Sequence[int] | None = (4, 4)
    """Shortest (2 or more) and longest run of characters within a word that is a feature; null for none."""
    buckets: int = 1 << 21
    """Number of different features, at most 2**30."""

    @classmethod
    def options_from(cls, rows: Sequence[Row], columns: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the input columns and what the tier's own options say of n-grams; nothing is learnt from rows."""
        return {"columns": list(columns), **{name: given[name] for name in ("word_ngrams", "char_ngrams", "buckets") if name in given}}

    def encode(self, rows: Sequence[Row]) -> Batch:
        """Return the features of `rows`; large batches are worked on by all cores, piece by piece."""
        pieces = list(self._pieces(rows)) or [[]]
        if len(pieces) == 1:
            return self._encode(pieces[0])
        with ThreadPoolExecutor(Machine.here().cores) as pool:
            return concatenate(list(pool.map(self._encode, pieces)))

    def _pieces(self, rows: Sequence[Row]) -> Iterator[list[list[str]]]:
        """Yield texts, a list a row, in pieces of about _PIECE characters and at most as many rows as the sort key has room for."""
        piece: list[list[str]] = []
        length = 0
        for row in rows:
            piece.append(texts := [_text(row.get(column)) for column in self.columns])
            length += sum(map(len, texts))
            if length >= _PIECE or (len(piece) + 1) * self.buckets >= 1 << 32:
                yield piece
                piece, length = [], 0
        if piece:
            yield piece

    def _encode(self, texts: list[list[str]]) -> Batch:
        half = self.buckets // 2
        keys = [np.zeros(0, np.uint32)]
        for number in range(len(self.columns)):
            words = _Words.of([row[number] for row in texts])
            salt = number * COLUMN % 2**64
            row_of_word = np.repeat(np.arange(len(texts), dtype=np.uint32) * np.uint32(2 * half), words.per_text)
            for n, hashes in words.word_ngrams(self.word_ngrams, salt):
                rows = row_of_word[: len(hashes)]
                keys.append((_bucket(hashes, half) + rows)[rows == row_of_word[n - 1 :]])
            if self.char_ngrams is not None:
                row_of_character = np.repeat(row_of_word + np.uint32(half), np.diff(words.spaces))
                for hashes, where in words.char_ngrams(self.char_ngrams[0], self.char_ngrams[1], salt):
                    keys.append(_bucket(hashes, half) + row_of_character[where])
        return _counted(np.concatenate(keys), len(texts), half)


@dataclass(frozen=True, slots=True)
class _Words:
    """All words of a few texts, one after the other, a space before each and one at the very end."""

    characters: NDArray
    """(L,) uint32 code points."""
    alone: NDArray
    """(L,) bool: a word of its own."""
    spaces: NDArray
    """(W + 1,) where the spaces are."""
    per_text: NDArray
    """(B,) words in each text."""
    prefix: NDArray
    """(L + 1,) uint64: the sum of (character + 1) * BASE**position of the characters before."""

    @classmethod
    def of(cls, texts: list[str]) -> _Words:
        codes = np.frombuffer("\n".join([*texts, ""]).encode("utf-32-le", "surrogatepass"), np.uint32)
        kinds = _kinds()[np.minimum(codes, _PLANES)]
        begins = kinds != SEPARATES
        begins[1:] &= (kinds[1:] != JOINS) | (kinds[:-1] != JOINS)
        kept = np.flatnonzero(kinds)
        begins_kept = begins[kept]
        places = np.cumsum(begins_kept) + np.arange(len(kept))
        length = len(kept) + int(np.count_nonzero(begins_kept)) + 1
        characters = np.full(length, PAD, np.uint32)
        characters[places] = codes[kept]
        alone = np.zeros(length, np.bool_)
        alone[places] = kinds[kept] == STANDS_ALONE
        spaces = np.append(places[begins_kept] - 1, length - 1)
        rows_end = np.cumsum([len(text) + 1 for text in texts])
        per_text = np.diff(np.searchsorted(kept[begins_kept], rows_end), prepend=0)
        prefix = np.zeros(length + 1, np.uint64)
        np.cumsum((characters + np.uint64(1)) * _powers(length)[0][:length], out=prefix[1:])
        return cls(characters, alone, spaces, per_text, prefix)

    def word_ngrams(self, longest: int, salt: int) -> Iterator[tuple[int, NDArray]]:
        """Yield n and the (W - n + 1,) uint64 hashes of runs of n words, across texts too, for n up to `longest`."""
        starts, ends = self.spaces[:-1] + 1, self.spaces[1:]
        words = _mixed((self.prefix[ends] - self.prefix[starts]) * _powers(len(self.characters))[1][starts], WORD + salt)
        hashes = words
        for n in range(1, min(longest, len(words)) + 1):
            if n > 1:
                hashes = _mixed(hashes[:-1] * np.uint64(BASE) + words[n - 1 :], 0)
            yield n, hashes

    def char_ngrams(self, shortest: int, longest: int, salt: int) -> Iterator[tuple[NDArray, NDArray]]:
        """Yield for each n the (N,) uint64 hashes of runs of n characters within words, and where (N,) they begin."""
        space = np.zeros(len(self.characters), np.bool_)
        space[self.spaces] = True
        within = ~(self.alone[:-1] | self.alone[1:])
        for n in range(2, min(longest, len(space)) + 1):
            if n > 2:
                within = within[:-1] & ~space[n - 2 : -1]
            if n >= shortest:
                where = np.flatnonzero(within & ~(space[: len(within)] & space[n - 1 :]))
                yield _mixed((self.prefix[where + n] - self.prefix[where]) * _powers(len(space))[1][where], CHARACTER + salt), where


def _bucket(hashes: NDArray, half: int) -> NDArray:
    """Return (N,) uint32 below `half`: the high half of each hash, scaled (Lemire 2019, section 4)."""
    return ((hashes >> np.uint64(32)) * np.uint64(half) >> np.uint64(32)).astype(np.uint32)


def _counted(keys: NDArray, rows: int, half: int) -> Batch:
    """Return each row's buckets, once and rising, and how often it has them, from keys = row * 2 * half + bucket."""
    keys = np.sort(keys)
    first = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    counts = np.minimum(np.diff(starts, append=len(keys)), 255).astype(np.uint8)
    unique = keys[starts]
    borders = np.searchsorted(unique, np.arange(2 * rows + 1, dtype=np.uint32) * np.uint32(half))
    offsets = borders[::2]
    features = (unique % np.uint32(2 * half)).astype(np.int32)
    ends = (borders[1:].reshape(rows, 2) - offsets[:-1, None]).astype(np.int32)
    return {"features": Ragged(features, offsets), "counts": Ragged(counts, offsets), "ends": ends}


def _mixed(hashes: NDArray, added: int) -> NDArray:
    h = hashes + np.uint64(added % 2**64)
    for multiplier in MIX:
        h ^= h >> np.uint64(33)
        h *= np.uint64(multiplier)
    h ^= h >> np.uint64(33)
    return h


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()


def _powers(count: int) -> tuple[NDArray, NDArray]:
    """Return at least `count` powers of BASE and of its inverse modulo 2**64, (N,) uint64 each."""
    return _made_powers(max(1 << 18, 1 << (count - 1).bit_length()) if count > 1 << 12 else 1 << 12)


@cache
def _made_powers(count: int) -> tuple[NDArray, NDArray]:
    powers = []
    for base in (BASE, pow(BASE, -1, 2**64)):
        factors = np.full(count, base, np.uint64)
        factors[0] = 1
        powers.append(np.multiply.accumulate(factors))
    return powers[0], powers[1]


@cache
def _kinds() -> NDArray:
    """Return (_PLANES + 1,) uint8, what each code point does to words; takes some 30 ms, once."""
    meaning = {"L": JOINS, "M": JOINS, "N": JOINS, "Pc": JOINS, "So": STANDS_ALONE}
    categories = map(unicodedata.category, map(chr, range(_PLANES)))
    kinds = np.array([meaning.get(c, meaning.get(c[0], SEPARATES)) for c in categories] + [SEPARATES], np.uint8)
    for first, end in WITHOUT_SPACES:
        kinds[first:end][kinds[first:end] == JOINS] = STANDS_ALONE
    kinds[slice(*VARIATION_SELECTORS)] = SEPARATES
    return kinds
