"""A small net on disk, and the files of each runtime: the same bytes each time, without paths of the machine that made them. Never a pickle.

Layout of a saved net: `net.safetensors` and `engine.json`, which names the class below penjing.training and what it is made with.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from penjing.core.errors import RunFailed
from penjing.core.files import written
from penjing.core.graphs.plain import Form, Plain
from penjing.core.types import Batch, NDArray, Spec
from penjing.training import graphs
from penjing.training.nets.net import Net, tensors

_ROOM = "penjing.training.nets"
_FREE = {0: "batch"}


class TorchGraph:
    """A net over numpy arrays: `core.graphs.plain.Graph`."""

    def __init__(self, net: Net) -> None:
        self.net = net.eval()

    def run(self, arrays: Mapping[str, NDArray]) -> NDArray:
        with torch.inference_mode():
            found: NDArray = self.net(tensors(arrays)).numpy()
        return found

    def steps(self, arrays: Mapping[str, NDArray]) -> Sequence[NDArray]:
        with torch.inference_mode():
            return [values.numpy() for _, values in self.net.steps(tensors(arrays))]


def in_torch(net: Net, described: Form) -> Plain:
    """Return the engine that answers with `net` itself."""
    return Plain(described, TorchGraph(net))


def described(net: Net, example: Batch, output: str, spec: Spec) -> Form:
    """Return what an engine must know of `net`; example: a batch of two examples or more, of exactly the arrays that the net takes."""
    arrays = {name: np.asarray(array) for name, array in example.items()}
    net.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        steps = tuple(name for name, _ in net.steps(tensors(arrays)))
    multiplied = counted.get_total_flops() // 2 // len(next(iter(arrays.values())))
    inputs = {name: (str(array.dtype), array.shape[1:]) for name, array in arrays.items()}
    return Form(inputs, output, spec, max(1, multiplied), steps, _name_of(net), net.config)


def save_net(net: Net, folder: Path, described: Form) -> None:
    """Write what `open_net` opens."""
    described.write(folder, net=True)
    with written(folder / "net.safetensors") as partial:
        save_file({name: tensor.detach().contiguous() for name, tensor in sorted(net.state_dict().items())}, partial)
        partial.chmod(0o644)  # safetensors writes for the owner alone, and a package is read by others


def open_net(folder: Path) -> tuple[Net, Form]:
    """Return the net that `save_net` wrote, and what is said of it. Raises RunFailed where `folder` holds none that can be made again."""
    described = Form.read(folder, "net.safetensors")
    try:
        with torch.random.fork_rng(devices=[]):
            net = _class(described.net)(**described.config)
        net.load_state_dict(load_file(folder / "net.safetensors"))
    except (AttributeError, ImportError, RuntimeError, TypeError, ValueError) as error:
        why = str(error).strip().partition("\n")[0]
        raise RunFailed(f"{folder} does not hold a net that this Penjing can make again: {why} Export the tier again.") from error
    return net.eval(), described


def export_net(net: Net, example: Batch, output: str, spec: Spec, folder: Path, runtime: str) -> None:
    """Write into `folder` what the engine called `runtime` opens: openvino-runtime, onnx-runtime or torch-runtime.

    example: a batch of two examples or more, of exactly the arrays that the net takes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    form = described(net, example, output, spec)
    if runtime == "torch-runtime":
        save_net(net, folder, form)
        return
    write = {"openvino-runtime": graphs.write_openvino, "onnx-runtime": graphs.write_onnx}[runtime]
    write(_Traced(net, tuple(form.inputs)), tensors(example), form.steps, {output: -1}, folder / "model", dict.fromkeys(form.inputs, _FREE))
    form.write(folder)


class _Traced(torch.nn.Module):  # type: ignore[misc]
    """A net whose arrays come one after the other and whose steps are returned together, as exporters want it."""

    def __init__(self, net: Net, names: Sequence[str]) -> None:
        super().__init__()
        self.net, self.names = net, names

    def forward(self, *arrays: Any) -> tuple[Any, ...]:
        return tuple(values for _, values in self.net.steps(dict(zip(self.names, arrays, strict=True))))


def _name_of(net: Net) -> str:
    """Return "module:Class", below penjing.training."""
    return f"{type(net).__module__.removeprefix(_ROOM + '.')}:{type(net).__name__}"


def _class(name: str) -> type[Net]:
    """Return the class that `_name_of` named. Raises ValueError where it is no net of this package: a file names no code of its own."""
    found = re.fullmatch(r"([a-z_]+):([A-Za-z]+)", name)
    kind = getattr(importlib.import_module(f"{_ROOM}.{found[1]}"), found[2], None) if found else None
    if not (isinstance(kind, type) and issubclass(kind, Net) and kind.__module__ == f"{_ROOM}.{found[1] if found else ''}"):
        raise ValueError(f"{name!r} is not the name of a net.")
    return kind
