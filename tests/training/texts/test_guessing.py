"""What is hidden of a text is a function of (seed, epoch, text), and as much as the papers say."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.core.types import NDArray, Ragged
from penjing.training.texts.guessing import Language, Question, following, hidden

LANGUAGE = Language(1000, 3, (0, 1, 2, 3))


def texts(count: int = 40, length: int = 100) -> Ragged:
    random = np.random.default_rng(0)
    return Ragged.of([np.concatenate([[1], random.integers(4, 1000, length), [2]]) for _ in range(count)], np.int32)


def asked(ids: Ragged, share: float = 0.15, seed: int = 0, epoch: int = 1, numbers: NDArray | None = None) -> Question:
    return hidden(ids, np.arange(len(ids)) if numbers is None else numbers, LANGUAGE, share, seed, epoch)


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_the_share_asked_for_is_guessed_and_never_what_ends_a_text(share: float) -> None:
    ids = texts()
    found = asked(ids, share)
    assert np.bincount(found.text).tolist() == [round(100 * share)] * 40
    assert np.array_equal(found.right, ids.values[found.places])
    assert found.right.min() >= 4


def test_most_are_hidden_some_are_changed_and_some_stand() -> None:
    ids = texts(400)
    found = asked(ids)
    seen = found.seen.values[found.places]
    masked, same = (seen == 3).mean(), (seen == found.right).mean()
    # 6,000 guesses: three standard errors of a share of 0.8 are 0.016.
    assert masked == pytest.approx(0.8, abs=0.016)
    assert same == pytest.approx(0.1, abs=0.012)
    changed = seen[(seen != 3) & (seen != found.right)]
    assert changed.min() >= 4
    assert len(np.unique(changed)) > 300
    rest = np.setdiff1d(np.arange(len(ids.values)), found.places)
    assert np.array_equal(found.seen.values[rest], ids.values[rest])


def test_a_text_is_asked_the_same_in_any_company() -> None:
    ids, few = texts(), np.array([31, 7])
    whole, part = asked(ids), asked(ids.take(few), numbers=few)
    for place, number in enumerate(few):
        assert np.array_equal(part.seen[place], whole.seen[number])
        assert np.array_equal(part.right[part.text == place], whole.right[whole.text == number])


def test_another_epoch_and_another_seed_ask_something_else() -> None:
    ids = texts(4)
    found = [asked(ids, seed=seed, epoch=epoch).places.tolist() for seed, epoch in ((0, 1), (0, 2), (5, 1), (0, 1))]
    assert found[0] == found[3]
    assert found[0] != found[1] != found[2] != found[0]


def test_of_a_short_text_one_token_is_guessed_and_of_an_empty_one_none() -> None:
    found = asked(Ragged.of([[1, 9, 2], [1, 2], [1, 5, 6, 2]], np.int32))
    assert found.text.tolist() == [0, 2]


def test_a_tokenizer_without_a_mask_hides_nothing() -> None:
    with pytest.raises(ValueError, match="without a mask"):
        hidden(texts(1), np.arange(1), Language(1000, None, ()), 0.15, 0, 1)


def test_what_follows_is_the_next_token_of_the_same_text() -> None:
    found = following(Ragged.of([[1, 7, 8, 2], [], [1], [1, 9]], np.int32))
    assert found.places.tolist() == [0, 1, 2, 5]
    assert found.right.tolist() == [7, 8, 2, 9]
    assert found.text.tolist() == [0, 0, 0, 3]
    assert found.seen.values.tolist() == [1, 7, 8, 2, 1, 1, 9]
