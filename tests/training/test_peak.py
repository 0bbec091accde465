from __future__ import annotations

import time

import pytest
import torch

from penjing.training.peak import peak


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_no_product_is_much_quicker_than_the_peak(precision: str) -> None:
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
    a = torch.full((768, 768), 0.5, dtype=dtype)
    found = []
    for _ in range(10):
        began = time.perf_counter()
        torch.mm(a, a)
        found.append(2 * 768**3 / (time.perf_counter() - began))
    assert min(found) < peak(precision) * 2, "the quickest product was measured, so that one as slow as the slowest cannot beat it"
    assert peak(precision) > 1e8


def test_it_is_measured_once_and_draws_nothing_at_random() -> None:
    before = torch.get_rng_state()
    assert peak("f32") == peak("f32")
    assert torch.equal(before, torch.get_rng_state())
