"""Two reports as runs leave them: one with everything in it, and one of a single tier that predicts numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def _read(name: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((HERE / name).read_text(encoding="utf-8"))
    return report


@pytest.fixture
def full() -> dict[str, Any]:
    return _read("full.json")


@pytest.fixture
def sparse() -> dict[str, Any]:
    return _read("sparse.json")
