"""Which words are kept, and the vectors they begin with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Spec
from penjing.plugins.learners.static_embedding import start
from penjing.plugins.learners.static_embedding.options import Options

FITTING = Fitting(0, Silent(), Path(), Path())
OUTPUTS = {"logits": Spec(2, "softmax")}


def test_reducing_keeps_the_angles_between_vectors_when_no_dimension_is_lost() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(50, 6)) + 3
    found, centred = start.reduced(vectors, 6), vectors - vectors.mean(0)
    length = np.sqrt(np.square(centred).sum(1).mean())
    np.testing.assert_allclose(found @ found.T, centred @ centred.T / length**2, atol=1e-5)


def test_reducing_keeps_the_directions_in_which_vectors_differ_most() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(200, 2)) @ random.normal(size=(2, 9)) * 5 + random.normal(size=(200, 9)) * 0.01
    found = start.reduced(vectors, 2)
    assert found.shape == (200, 2)
    assert np.square(found).sum(1).mean() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(np.cov(found.T)[0, 1], 0, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_vectors_are_no_trouble(count: int) -> None:
    assert np.isfinite(start.reduced(np.ones((count, 3), np.float32), 2)).all()


def options_for(tmp_path: Path, text: str, **options: object) -> Options:
    (tmp_path / "x.txt").write_text(text, encoding="utf-8")
    return Options(vectors=f"path:{tmp_path / 'x.txt'}", **options)  # type: ignore[arg-type]


def test_of_words_that_are_one_to_us_the_first_counts_and_of_what_is_no_word_none(tmp_path: Path) -> None:
    source = start.Source.of(options_for(tmp_path, "pain 1 0\nPain 2 0\n, 3 0\nNew-York 4 0\nrelief 5 0\n"))
    assert [source.words[place] for place in source.places] == ["pain", "relief"]


def test_vectors_stand_at_the_words_they_belong_to(tmp_path: Path) -> None:
    options = options_for(tmp_path, "a 1 0\nb 0 1\nc -1 -1\n", dimensions=2)
    source = start.Source.of(options)
    a, b, c = source.numbers
    kept = np.array([c, 7, a, b], np.int32)
    found = start.vectors_of(options, source, kept, OUTPUTS, FITTING)
    assert not found[1].any()
    expected = np.array([[-1, -1], [1, 0], [0, 1]])
    np.testing.assert_allclose(found[[0, 2, 3]] @ found[[0, 2, 3]].T, expected @ expected.T * 3 / 4, atol=1e-5)


def test_coverage_is_of_words_as_often_as_they_stand(tmp_path: Path) -> None:
    source = start.Source.of(options_for(tmp_path, "a 1 0\nb 0 1\n"))
    features = np.array([source.numbers[0], 5], np.int32)
    assert source.covers(features, np.array([255, 85], np.uint8)) == 0.75
    assert source.covers(features[:0], np.zeros(0, np.uint8)) == 1


def test_learnt_vectors_begin_in_random_directions_of_about_length_one() -> None:
    options = Options(dimensions=64)
    source, kept = start.Source.of(options), np.arange(500, dtype=np.int32)
    one, other = (start.vectors_of(options, source, kept, OUTPUTS, Fitting(seed, Silent(), Path(), Path())) for seed in (0, 1))
    assert np.square(one).sum(1).mean() == pytest.approx(1, abs=0.05)
    assert not np.array_equal(one, other)
