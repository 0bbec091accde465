"""Bounds of one learning are kept, and say so."""

from __future__ import annotations

import time

import pytest

from penjing.core.allowance import Allowance


def test_without_bounds_nothing_is_ever_spent() -> None:
    assert Allowance(began=time.monotonic() - 1e9, drawn=lambda: 1e18).spent() is None


@pytest.mark.parametrize(("seconds", "stops"), [(9.0, True), (11.0, False)])
def test_time_counts_from_when_it_is_made(seconds: float, stops: bool) -> None:
    allowance = Allowance(seconds=seconds, began=time.monotonic() - 10)
    assert (allowance.spent() is not None) == stops
    assert (allowance.stopped == "its time (9 s) is used up") == stops


@pytest.mark.parametrize(("joules", "stops"), [(99.0, True), (101.0, False)])
def test_energy_is_what_is_drawn(joules: float, stops: bool) -> None:
    allowance = Allowance(joules=joules, drawn=lambda: 100.0)
    assert (allowance.spent() == "its energy (99 J) is used up") == stops
