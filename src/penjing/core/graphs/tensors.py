"""Arrays of a safetensors file, mapped into memory: processes that serve the same package share them. Knows nothing of what they mean.

Layout: the safetensors README, "Format". Only numpy is needed to read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core.errors import RunFailed
from penjing.core.types import NDArray

_DTYPES = {"F32": np.float32, "I32": np.int32}


def mapped(path: Path, kinds: Mapping[str, str]) -> tuple[dict[str, NDArray], dict[str, str]]:
    """Return the arrays that `kinds` names, of the kind it says (F32, I32), and the file's metadata. Raises RunFailed where it cannot be read."""
    try:
        with path.open("rb") as file:
            start = 8 + min(int.from_bytes(file.read(8), "little"), path.stat().st_size)
            header: dict[str, Any] = json.loads(file.read(start - 8))
        metadata = header.pop("__metadata__", {})
        return {name: _array(path, start, name, entry, kinds[name]) for name, entry in header.items() if name in kinds}, metadata
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFailed(f"{path} cannot be read: {error}. Export the tier again.") from error


def _array(path: Path, start: int, name: str, entry: Mapping[str, Any], kind: str) -> NDArray:
    if entry["dtype"] != kind:
        raise ValueError(f"{name} is {entry['dtype']}, not {kind}")
    dtype, shape = _DTYPES[kind], tuple(entry["shape"])
    if 0 in shape:
        return np.zeros(shape, dtype)  # nothing to map
    return np.memmap(path, dtype, "r", start + entry["data_offsets"][0], shape).view(np.ndarray)
