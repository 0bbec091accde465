"""The state of learning on disk, so that a killed run goes on to the same bits. Safetensors and JSON; never a pickle.

A folder holds the last two states, `state-NUMBER-EPOCH.safetensors`, and the best weights that they name, `best-EPOCH.safetensors`, which are
written before: a kill at any moment leaves whole ones. The tensors of a state are `weight.NAME`, `average.NAME` and, of the optimizer,
`KEY.NAME` under its own keys (`exp_avg`, `step`, …).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from penjing.core.files import written
from penjing.training.averages import Average

_UNREADABLE = (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError)
_KEPT = 2
"""States: should the disk have lost a part of the last one, there is one before."""


@dataclass
class Position:
    """How far learning is."""

    fingerprint: str
    """Of everything the result depends on; a state with another one belongs to other work."""
    number: int = 0
    """Of the states written."""
    epoch: int = 1
    """The epoch under way, from 1."""
    step: int = 0
    """Steps done in that epoch."""
    losses: float = 0.0
    """Sum over the examples of that epoch of their training losses."""
    best_epoch: int = 0
    """The epoch after which the validation loss was least; 0 is the beginning."""
    best_loss: float = float("nan")
    """Of the validation rows, at the scale that suits them best."""
    best_scale: float = 1.0
    """That scale of the logits."""
    best_quality: float = float("nan")
    """The best of all epochs, whichever had the least loss."""
    factor: float = 1.0
    """What the step size is multiplied by: less after a plateau or a rollback."""
    rollbacks: int = 0
    averaged: int = 0
    """Steps that the average of the weights is over."""
    seconds: float = 0.0
    """Spent on learning until here."""
    joules: float = 0.0
    """Drawn until here."""
    epoch_joules: float = 0.0
    """Drawn until the epoch began."""
    ended: bool = False
    """Whether learning has come to its end, whatever the number of epochs."""


class State:
    """What a run is made of: weights that change, optimizer, average, and the best weights so far."""

    def __init__(self, net: Any, optimizer: Any, average: Average) -> None:
        self.weights = learnt_of(net)
        self.optimizer, self.average = optimizer, average
        self.best: dict[str, Any] = {}
        self._parameters = {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}

    def keep_best(self) -> None:
        """Keep the weights as they are as the best."""
        self.best = self.best or {name: torch.empty_like(tensor) for name, tensor in self.weights.items()}
        _put(self.best, self.weights)

    def take_best(self) -> None:
        """Put the best weights in place, with an optimizer and an average that begin anew."""
        _put(self.weights, self.best)
        self.optimizer.state.clear()
        self.average.restore({}, 0)

    def write(self, folder: Path, position: Position) -> None:
        """Add the state to `folder`, then delete what the last two do not need."""
        best = folder / f"best-{position.best_epoch}.safetensors"
        if not best.exists():
            _write(best, self.best, None)
        position.number, position.averaged = position.number + 1, self.average.count
        _write(folder / f"state-{position.number}-{position.best_epoch}.safetensors", self._tensors(), {"position": json.dumps(asdict(position))})
        _tidy(folder)

    def read(self, folder: Path, fingerprint: str, say: Callable[[str], None]) -> Position | None:
        """Become the newest state in `folder` that is whole, and return its position; None where there is none for this `fingerprint`.

        What belongs to other work is deleted; what cannot be read is told, and deleted.
        """
        for path in reversed(_states(folder)):
            try:
                position, tensors, best = _opened(path)
                if position.fingerprint == fingerprint:
                    self._become(tensors, best, position)
                    _tidy(folder)
                    return position
            except _UNREADABLE as error:
                why = str(error).splitlines()[0] if str(error) else type(error).__name__
                say(f"The checkpoint {path} cannot be read ({why}). Learning goes on from the one before it, or from the beginning.")
            path.unlink(missing_ok=True)
        _tidy(folder)
        return None

    def _tensors(self) -> dict[str, Any]:
        found = {f"weight.{name}": tensor for name, tensor in self.weights.items()}
        found |= {f"average.{name}": tensor for name, tensor in self.average.state().items()}
        for name, parameter in self._parameters.items():
            found |= {f"{key}.{name}": tensor for key, tensor in self.optimizer.state.get(parameter, {}).items() if torch.is_tensor(tensor)}
        return found

    @property
    def _steps_beside(self) -> bool:
        """Whether the optimizer counts its steps where the parameters are, as fused ones do."""
        return bool(self.optimizer.defaults.get("fused"))

    def _become(self, tensors: Mapping[str, Any], best: Mapping[str, Any], position: Position) -> None:
        held: dict[str, dict[str, Any]] = {}
        for full, tensor in tensors.items():
            key, _, name = full.partition(".")
            held.setdefault(key, {})[name] = tensor
        weights, average = held.pop("weight"), held.pop("average", {})
        _check(self.weights, weights)
        _check(self.weights, best)
        _put(self.weights, weights)
        self.keep_best()
        _put(self.best, best)
        self.average.restore(average, position.averaged)
        for name, parameter in self._parameters.items():
            found = {key: like(parameter, tensors[name], self._steps_beside) for key, tensors in held.items() if name in tensors}
            if found:
                self.optimizer.state[parameter] = found


def learnt_of(net: Any) -> dict[str, Any]:
    """Return what learning changes in `net`, by name: parameters that require a gradient, each once, and all buffers that it saves."""
    saved = net.state_dict().keys()
    found = {name: parameter.detach() for name, parameter in net.named_parameters() if parameter.requires_grad}
    return found | {name: buffer for name, buffer in net.named_buffers() if name in saved}


def like(parameter: Any, tensor: Any, beside: bool) -> Any:
    """Return `tensor` laid out in memory as `parameter` is, where they are of one shape: a fused optimizer goes over both side by side.

    beside: whether one of another shape, the count of steps, is on the device of the parameter, too.
    """
    if tensor.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
    return tensor.to(parameter.device if beside else "cpu", copy=True)


def _put(into: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(tensors[name])


def _check(into: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
    """Raises ValueError where `tensors` are not those of the net."""
    for name, tensor in into.items():
        if name not in tensors or tensors[name].shape != tensor.shape:
            raise ValueError(f"it holds no {name!r} of shape {tuple(tensor.shape)}")


def _opened(path: Path) -> tuple[Position, dict[str, Any], dict[str, Any]]:
    """Return what a state holds, and the best weights that it names. Raises one of _UNREADABLE."""
    with safe_open(path, "pt") as file:
        position = Position(**json.loads(file.metadata()["position"]))
    return position, load_file(path), load_file(path.parent / f"best-{position.best_epoch}.safetensors")


def _states(folder: Path) -> list[Path]:
    """Return the states in `folder`, the oldest first."""
    return sorted(folder.glob("state-*-*.safetensors"), key=lambda path: int(path.name.split("-")[1]))


def _tidy(folder: Path) -> None:
    """Delete all but the last states and the best weights that they name."""
    for path in _states(folder)[:-_KEPT]:
        path.unlink(missing_ok=True)
    named = {f"best-{path.stem.split('-')[2]}" for path in _states(folder)}
    for path in folder.glob("best-*.safetensors"):
        if path.stem not in named:
            path.unlink(missing_ok=True)


def _write(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str] | None) -> None:
    with written(path) as partial:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata)
