"""What `make quickstart` does after installing: the real reviews, the real encoder, a server and a question; then again, quickly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[2]


def quickstart(folder: Path) -> str:
    done = subprocess.run([sys.executable, str(ROOT / "examples" / "quickstart.py")], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_quickstart_learns_measures_signs_serves_and_asks(tmp_path: Path) -> None:
    shown = quickstart(tmp_path)
    for tier in ("linear", "transformer-frozen", "transformer-full"):
        assert f"Tier '{tier}' is learnt" in shown
    assert shown.count("Parity learnt → exported: 100.0%") == 3
    assert "Parity exported → packaged: 100.0%" in shown
    assert "Parity packaged → served: 256 of 256 rows the same" in shown
    assert '"label": "positive"' in shown
    again = quickstart(tmp_path)
    assert again.count("done before, not done again") == 10
    assert "Parity packaged → served: 256 of 256 rows the same" in again
