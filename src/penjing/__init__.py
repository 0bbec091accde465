"""Penjing 盆景: a great tree in the pot you have. Nothing heavy is imported before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penjing.pipeline.estimator import Penjing as Penjing

__version__ = "0.4.0"

_LAZY = {"Penjing": "penjing.pipeline.estimator"}


def __getattr__(name: str) -> Any:  # PEP 562
    if name not in _LAZY:
        raise AttributeError(f"module 'penjing' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
