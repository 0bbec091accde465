"""Which words are kept, and what their vectors are before anything is learnt. Knows nothing of targets.

Shapes: K words of a source (a file or a model) that have a number of their own, V words kept, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.protocols import Fitting
from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.static_embedding import distilled, files
from penjing.plugins.learners.static_embedding.options import LEARNT, Options

PROCESSOR = "words"


@dataclass(frozen=True, slots=True)
class Source:
    """The words that come with a vector."""

    words: list[str]
    places: NDArray
    """(K,) int64 place in `words` of each one that stands for a number: the first, where several do."""
    numbers: NDArray
    """(K,) int32 what the processor makes of them."""

    @classmethod
    def of(cls, options: Options) -> Source:
        """Return what `options.vectors` names; nothing for learnt ones. Raises PlanError, DataError with file and line."""
        kind, name = options.source
        if kind == LEARNT:
            return cls([], np.zeros(0, np.int64), np.zeros(0, np.int32))
        words = files.words(Path(name).expanduser()) if kind == "path" else distilled.words(name)
        encoded = plugins.load("processors", PROCESSOR)(["word"]).encode([{"word": word} for word in words])["features"]
        alone = np.flatnonzero(encoded.lengths == 1)
        numbers, first = np.unique(encoded.values[encoded.offsets[alone]], return_index=True)
        order = np.argsort(first)
        return cls(words, alone[first[order]], numbers[order])

    def covers(self, features: NDArray, counts: NDArray) -> float:
        """Return the share (0 to 1) of a text's words that have a vector: of `features`, each standing `counts` times."""
        total = int(counts.sum(dtype=np.int64))
        return int(counts[np.isin(features, self.numbers)].sum(dtype=np.int64)) / total if total else 1.0


def check_covered(options: Options, share: float) -> None:
    """Raises PlanError where the vectors are of another language than the rows. Without any vector there is nothing to learn from."""
    if options.vectors != LEARNT and (share < options.covered_at_least or share == 0):
        raise PlanError(
            f"Only {share:.1%} of the words in the training rows have a vector in {options.vectors}. "
            f"Choose vectors of the language of the rows, or vectors: learnt (or lower covered_at_least, now {options.covered_at_least:g})."
        )


def chosen(options: Options, source: Source, seen: NDArray) -> NDArray:
    """Return (V,) int32 numbers of the words kept: those `seen` in training, the most frequent first, then others of the source."""
    if options.tune == "frozen":
        seen = seen[np.isin(seen, source.numbers)]
    others = source.numbers[~np.isin(source.numbers, seen)]
    return np.concatenate([seen, others])[: options.vocabulary].astype(np.int32)


def vectors_of(options: Options, source: Source, kept: NDArray, outputs: Mapping[str, Spec], fitting: Fitting) -> NDArray:
    """Return (V, D) float32 for the words `kept` (numbers), of length 1 in the mean; nothing but zeros for one without a vector.

    For learnt ones, random directions.
    """
    if options.vectors == LEARNT:
        random = np.random.default_rng(fitting.seed).standard_normal((len(kept), options.dimensions), np.float32)
        return random / np.float32(np.sqrt(options.dimensions))
    if not len(kept):
        return np.zeros((0, options.dimensions), np.float32)
    order = np.argsort(kept)
    at = order[np.minimum(np.searchsorted(kept, source.numbers, sorter=order), len(kept) - 1)]
    used = kept[at] == source.numbers
    given = reduced(_read(options, source.words, source.places[used], outputs, fitting), options.dimensions)
    vectors = np.zeros((len(kept), given.shape[1]), np.float32)
    vectors[at[used]] = given
    return vectors


def _read(options: Options, words: Sequence[str], places: NDArray, outputs: Mapping[str, Spec], fitting: Fitting) -> NDArray:
    """Return (K, …) float32, the vectors of the words at `places`, which rise."""
    kind, name = options.source
    if kind == "model":
        return distilled.vectors(name, [words[place] for place in places], outputs, fitting)
    wanted = set(places.tolist())
    return files.vectors(Path(name).expanduser(), wanted.__contains__)


def reduced(vectors: NDArray, dimensions: int) -> NDArray:
    """Return (K, D) float32: `vectors` about their mean, in the directions in which they differ most, scaled to a mean square length of 1."""
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    turned: NDArray = centred @ directions[:, ::-1][:, :dimensions]
    length = np.sqrt(np.square(turned).sum(axis=1).mean()) if len(turned) else 0.0
    scaled: NDArray = turned / max(length, 1e-12)
    return scaled.astype(np.float32)
