"""What the search holds out, leaves out and loosens."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.core.examples import Examples
from penjing.core.protocols import Silent
from penjing.core.types import Spec
from penjing.plugins.learners.tabular_linear import search
from penjing.plugins.learners.tabular_linear.descent import Model
from penjing.plugins.learners.tabular_linear.layout import untaught
from penjing.plugins.learners.tabular_linear.search import L2, PULLS, Search, Settings

VALUE = Spec(1, "identity")
GIVEN = Settings(None, 2, 100, (0, 0), 0)


def crossed(count: int, seed: int = 0) -> Examples:
    """Return two numbers of which the product is to be learnt; neither says anything alone."""
    numbers = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    return Examples({"numbers": numbers, "codes": np.zeros((count, 0), np.int32)}, numbers[:, :1] * numbers[:, 1:])


def made(train: Examples, validation: Examples, progress: Silent | None = None) -> Search:
    return Search(train, validation, VALUE, GIVEN, progress or Silent())


def test_with_enough_validation_rows_they_choose_and_all_training_rows_are_learnt_from() -> None:
    train, validation = crossed(700), crossed(search.ENOUGH, 1)
    [split] = made(train, validation)._split(untaught(train, 8, "y", VALUE, 0))
    assert (len(split.learnt), len(split.watched)) == (700, search.ENOUGH)
    assert split.watched.examples is validation


def test_with_few_every_training_row_is_held_out_once() -> None:
    train = crossed(700)
    splits = made(train, crossed(10, 1))._split(untaught(train, 8, "y", VALUE, 0))
    assert sorted(np.concatenate([s.watched.indices for s in splits])) == list(range(700))
    assert all(not set(s.learnt.indices) & set(s.watched.indices) for s in splits)


def test_l2_is_loosened_once_a_pair_explains_what_single_columns_could_not() -> None:
    train, validation = crossed(2000), crossed(600, 1)
    found = made(train, validation)
    engine = untaught(train, 32, "y", VALUE, 0)
    found.splits = found._split(engine)
    blank = Model(np.zeros(engine.values.shape), np.zeros(1))
    alone = found._try(engine, L2[0], PULLS[0], [blank])
    together = found._loosened(found._crossed(alone))
    assert together.l2 < alone.l2
    assert together.loss < 0.5 * alone.loss


def test_rows_beyond_what_there_is_room_for_are_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hears(Silent):
        said = ""

        def say(self, sentence: str) -> None:
            self.said += sentence

    train, validation, hears = crossed(2000), crossed(600, 1), Hears()
    monkeypatch.setattr(search, "VALUES", 2500)
    engine = made(train, validation, hears).taught(untaught(train, 8, "y", VALUE, 0))
    assert len(engine.pairs) == 1
    assert "learns from 500 of the 2,000 training rows" in hears.said
