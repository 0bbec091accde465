"""The state of learning on disk, so that a killed run goes on to the same bits. Safetensors and JSON; never a pickle.

`best-EPOCH.safetensors` holds the best weights so far and is written before `state.safetensors`, which names it: a kill in between leaves
the state of before, whole. The tensors of a state are `weight.NAME`, and `NAME` below `exp_avg`, `exp_avg_sq` and `step` of AdamW.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from penjing.core.files import written

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass
class Position:
    """How far learning is."""

    fingerprint: str
    """Of everything the result depends on; a state with another one belongs to other work."""
    epoch: int = 1
    """The epoch under way, from 1."""
    step: int = 0
    """Steps done in that epoch."""
    losses: float = 0.0
    """Sum over the examples of that epoch of their training losses."""
    best_epoch: int = 0
    """The epoch after which the validation loss was least; 0 is the beginning: of an encoder, the head alone."""
    best_loss: float = float("nan")
    """Of the validation rows, at the scale that suits them best."""
    best_scale: float = 1.0
    """That scale of the logits."""


def write_best(folder: Path, weights: Mapping[str, Any], epoch: int) -> None:
    """Keep `weights`, by name as a module's state_dict tells them, as those after `epoch`."""
    _write(folder / f"best-{epoch}.safetensors", {name: tensor.detach() for name, tensor in weights.items()}, None)


def write(folder: Path, net: Any, optimizer: Any, position: Position) -> None:
    """Replace the state in one step, then delete best weights that it no longer names."""
    tensors = {f"weight.{name}": tensor.detach() for name, tensor in net.state_dict().items()}
    for name, parameter in net.named_parameters():
        tensors |= {f"{moment}.{name}": optimizer.state[parameter][moment] for moment in _MOMENTS if parameter in optimizer.state}
    _write(folder / "state.safetensors", tensors, {"position": json.dumps(asdict(position))})
    for path in folder.glob("best-*.safetensors"):
        if path.name != f"best-{position.best_epoch}.safetensors":
            path.unlink()


def read(folder: Path, net: Any, optimizer: Any, fingerprint: str) -> Position | None:
    """Put net and optimizer into the state on disk and return its position; None where there is none for this `fingerprint`."""
    path = folder / "state.safetensors"
    if not path.exists():
        return None
    with safe_open(path, "pt") as file:
        position = Position(**json.loads(file.metadata()["position"]))
        if position.fingerprint != fingerprint:
            return None
        held = set(file.keys())
        net.load_state_dict({name: file.get_tensor(f"weight.{name}") for name in net.state_dict()})
        for name, parameter in net.named_parameters():
            if f"step.{name}" in held:
                optimizer.state[parameter] = {moment: file.get_tensor(f"{moment}.{name}").clone() for moment in _MOMENTS}
    return position


def read_best(folder: Path, epoch: int) -> dict[str, Any]:
    """Return the best weights by name."""
    weights: dict[str, Any] = load_file(folder / f"best-{epoch}.safetensors")
    return weights


def _write(path: Path, tensors: dict[str, Any], metadata: dict[str, str] | None) -> None:
    with written(path) as partial:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata)
