"""What a language model is asked of texts: which tokens it sees, and which it has to guess. Numpy only; knows no net.

Chance is a function of (seed, epoch, text), so that a run that is killed and started again asks the same.

Shapes: N tokens of B texts, one after the other, M tokens to guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penjing.core.types import NDArray, Ragged

_HIDDEN, _CHANGED = 0.8, 0.1
"""Shares of the tokens to guess that are hidden, and that are another one; the rest stands as it is (Devlin et al. 2019, section 3.1)."""


@dataclass(frozen=True, slots=True)
class Language:
    """The tokens of a tokenizer."""

    size: int
    """How many there are."""
    mask: int | None
    """The one that hides another; None where there is none."""
    special: tuple[int, ...]
    """Those that are no part of a text, `mask` included: they are neither hidden nor put in a token's place."""

    @property
    def ordinary(self) -> NDArray:
        """All others, (size - special,) int64."""
        return np.setdiff1d(np.arange(self.size), np.array(self.special, np.int64))


@dataclass(frozen=True, slots=True)
class Question:
    seen: Ragged
    """What the model is given."""
    places: NDArray
    """(M,) int64 where, among the N tokens, the states stand from which it guesses."""
    right: NDArray
    """(M,) int64 ids."""
    text: NDArray
    """(M,) int64, which of the B texts each belongs to."""


def hidden(ids: Ragged, numbers: NDArray, language: Language, share: float, seed: int, epoch: int) -> Question:
    """Ask for a `share` of the tokens of each text, at least one: a masked language model (Devlin et al. 2019, section 3.1).

    numbers: (B,) of the texts among all there are, which decide what is hidden. Raises ValueError where `language` has no mask.
    """
    if language.mask is None:
        raise ValueError("A tokenizer without a mask token cannot hide tokens.")
    values, ordinary, special = ids.values.astype(np.int64), language.ordinary, np.array(language.special, np.int64)
    seen, places = values.copy(), []
    for number, start, end in zip(numbers, ids.offsets[:-1], ids.offsets[1:], strict=True):
        free = start + np.flatnonzero(~np.isin(values[start:end], special))
        random = np.random.default_rng([seed, epoch, int(number)])
        chosen = np.sort(random.permutation(free)[: max(1, round(share * len(free)))])
        how, other = random.random(len(chosen)), ordinary[random.integers(0, len(ordinary), len(chosen))]
        seen[chosen] = np.select([how < _HIDDEN, how < _HIDDEN + _CHANGED], [language.mask, other], values[chosen])
        places.append(chosen)
    return _question(seen, ids, places)


def following(ids: Ragged) -> Question:
    """Ask after each token but the last of a text for the next: a causal language model (Radford et al. 2018, section 3.1)."""
    places = [np.arange(start, max(start, end - 1)) for start, end in zip(ids.offsets[:-1], ids.offsets[1:], strict=True)]
    return _question(ids.values, ids, places, ahead=1)


def _question(seen: NDArray, ids: Ragged, places: list[NDArray], ahead: int = 0) -> Question:
    joined = np.concatenate([np.zeros(0, np.int64), *places]).astype(np.int64)
    text = np.repeat(np.arange(len(places)), [len(part) for part in places])
    return Question(Ragged(seen, ids.offsets), joined, ids.values[joined + ahead].astype(np.int64), text)
