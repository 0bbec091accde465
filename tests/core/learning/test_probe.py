"""The probe measures something."""

from __future__ import annotations

from penjing.core.learning.probe import probed


def test_a_machine_multiplies_at_some_speed() -> None:
    assert probed(64, 1) > 1e5
