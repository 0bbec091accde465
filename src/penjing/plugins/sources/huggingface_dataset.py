"""A Hugging Face dataset folder: what `save_to_disk` wrote, or a hub repository with a file or more for each split.

Class numbers become class names where the dataset says what they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penjing.core.data import read
from penjing.core.errors import DataError
from penjing.core.types import Row

CHUNK = 4096
_NAMES = {"train": "train", "validation": "validation", "valid": "validation", "dev": "validation", "test": "test"}
_READ = (".parquet", ".csv", ".tsv", ".jsonl")


class HuggingfaceDataset:
    @classmethod
    def matches(cls, path: Path) -> bool:
        return path.is_dir() and bool(_files(path))

    @classmethod
    def splits(cls, path: Path) -> list[str]:
        return [name for name in ("train", "validation", "test") if name in _files(path)]

    @classmethod
    def read(cls, path: Path, split: str, encoding: str) -> Iterator[list[Row]]:
        files = _files(path)
        for file in files[split] if split else [f for group in files.values() for f in group]:
            classes = _classes(file, path)
            for chunk in _arrow(file) if file.suffix == ".arrow" else read(file, "", encoding):
                yield [_named(row, classes) for row in chunk] if classes else chunk


def _files(path: Path) -> dict[str, list[Path]]:
    """Return the data files of each split; the split is "" where the folder has none."""
    if (path / "dataset_dict.json").exists():
        named = {name: path / name for name in json.loads((path / "dataset_dict.json").read_text())["splits"]}
        return {_NAMES.get(name, name): _of_state(folder) for name, folder in named.items()}
    if (path / "state.json").exists():
        return {"": _of_state(path)}
    found: dict[str, list[Path]] = {}
    for file in sorted(p for p in [*path.glob("*"), *path.glob("data/*")] if p.suffix in _READ):
        split = _NAMES.get(file.name.split("-")[0].split(".")[0].split("_")[0].lower(), "")
        found.setdefault(split, []).append(file)
    if "" in found and len(found) > 1:
        del found[""]
    return found


def _of_state(folder: Path) -> list[Path]:
    state = json.loads((folder / "state.json").read_text())
    return [folder / entry["filename"] for entry in state["_data_files"]]


def _arrow(file: Path) -> Iterator[list[Row]]:
    try:
        with pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as stream:
            for batch in stream:
                for start in range(0, batch.num_rows, CHUNK):
                    yield batch.slice(start, CHUNK).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{file} is not a readable Arrow file ({str(error).splitlines()[0]}). Save the dataset again.") from error


def _classes(file: Path, path: Path) -> dict[str, list[str]]:
    """Return the class names of each column of classes."""
    features: dict[str, Any] = {}
    for place in (file.parent / "dataset_info.json", path / "dataset_info.json"):
        if place.exists():
            features = json.loads(place.read_text()).get("features") or {}
            break
    else:
        if file.suffix == ".parquet":
            described = (pq.read_schema(file).metadata or {}).get(b"huggingface")
            features = json.loads(described)["info"]["features"] if described else {}
    return {name: f["names"] for name, f in features.items() if isinstance(f, dict) and f.get("_type") == "ClassLabel"}


def _named(row: Row, classes: dict[str, list[str]]) -> Row:
    return {name: classes[name][v] if name in classes and isinstance(v, int) and 0 <= v < len(classes[name]) else v for name, v in row.items()}
