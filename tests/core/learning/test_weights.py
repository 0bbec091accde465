"""The mean of weights."""

from __future__ import annotations

import numpy as np

from penjing.core.learning.weights import HasWeights, mean


def test_numbers_are_averaged_and_counts_are_those_of_the_first() -> None:
    several = [{"w": np.array([i, 1.0], np.float32), "steps": np.array(i)} for i in (1, 2, 6)]
    found = mean(several)
    assert found["w"].tolist() == [3.0, 1.0]
    assert found["w"].dtype == np.float32
    assert found["steps"] == 1


def test_only_what_can_give_and_take_weights_has_them() -> None:
    class Both:
        def weights(self) -> dict[str, np.ndarray]:
            return {}

        def set_weights(self, weights: dict[str, np.ndarray]) -> None: ...

    assert issubclass(Both, HasWeights)
    assert not issubclass(dict, HasWeights)
