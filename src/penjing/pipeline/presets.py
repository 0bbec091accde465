"""Presets: configs for a kind of work that a user can start from, read and change. They are YAML files in `penjing/presets/`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml

from penjing.core.errors import BadRequest, nearest


def names() -> list[str]:
    """Return the names of all presets."""
    return sorted(file.name.removesuffix(".yaml") for file in files("penjing.presets").iterdir() if file.name.endswith(".yaml"))


def text(name: str) -> str:
    """Return the preset as it is written, comments and all. Raises BadRequest, nearest name offered."""
    if name not in names():
        raise BadRequest(f"There is no preset {name!r}. {nearest(name, names())}")
    return (files("penjing.presets") / f"{name}.yaml").read_text(encoding="utf-8")


def laid_over(name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preset called `name` with what the user `asked` for laid over it, section by section."""
    preset: dict[str, Any] = yaml.safe_load(text(name)) or {}
    for key, value in asked.items():
        below = preset.get(key)
        preset[key] = {**below, **value} if isinstance(below, dict) and isinstance(value, dict) else value
    if isinstance(asked.get("task"), str) and isinstance((yaml.safe_load(text(name)) or {}).get("task"), dict):
        preset["task"] = asked["task"]
    return preset
