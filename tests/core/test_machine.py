"""What a process has in use at its peak is seen, forgotten and seen again."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from penjing.core.machine import forget_peak, give_back, peak_bytes

MUCH = 300 << 20


def test_the_peak_is_what_was_once_in_use() -> None:
    before = peak_bytes()
    held = np.ones(MUCH, np.uint8)
    assert held[-1] == 1
    del held
    assert peak_bytes() >= before
    assert peak_bytes() > MUCH


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems count the peak from the beginning only")
def test_a_peak_can_be_forgotten() -> None:
    held = np.ones(MUCH, np.uint8)
    del held
    give_back()
    if not forget_peak():
        pytest.skip("this kernel does not let a process forget its peak")
    forgotten = peak_bytes()
    held = np.ones(MUCH, np.uint8)
    assert peak_bytes() - forgotten > 0.9 * MUCH
    assert held.sum() == MUCH
