from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from penjing.core.statistics import exact_interval, macro_f1, mean_loss, percentile_interval, probabilities, resampled_sums


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (711, 1000)])
def test_the_exact_interval_is_scipys(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    assert exact_interval(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_macro_f1_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    true, guessed = rng.integers(0, 5, 300), rng.integers(0, 5, 300)
    confusion = np.zeros((5, 5), int)
    np.add.at(confusion, (true, guessed), 1)
    assert float(macro_f1(confusion)) == pytest.approx(metrics.f1_score(true, guessed, average="macro"), abs=1e-12)


def test_losses_are_the_closed_forms() -> None:
    logits = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]])
    shares = probabilities(logits, "softmax")
    assert mean_loss(logits, np.array([0, 2]), "softmax") == pytest.approx(-np.log([shares[0, 0], shares[1, 2]]).mean())
    target = np.array([[1, 0, 1], [0, 1, 0]])
    each = probabilities(logits, "sigmoid")
    assert mean_loss(logits, target, "sigmoid") == pytest.approx(-(target * np.log(each) + (1 - target) * np.log(1 - each)).mean())
    assert mean_loss(logits, target, "identity") == pytest.approx(((logits - target) ** 2).mean())


def test_probabilities_survive_large_logits() -> None:
    assert probabilities(np.array([[1e4, 0.0]]), "softmax").tolist() == [[1.0, 0.0]]


def test_the_bootstrap_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        values = rng.normal(size=(60, 1))
        low, high = percentile_interval(resampled_sums(values, 400, seed=trial)[1:, 0] / 60)
        covered += low <= 0 <= high
    # 200 trials at a nominal 95 %: three standard errors below it.
    assert covered >= 200 * (0.95 - 3 * np.sqrt(0.95 * 0.05 / 200))


def test_resampling_in_blocks_gives_the_sums_over_all_rows_first() -> None:
    values = np.arange(12.0).reshape(6, 2)
    sums = resampled_sums(values, 10)
    assert sums.shape == (11, 2)
    assert sums[0].tolist() == [30.0, 36.0]
