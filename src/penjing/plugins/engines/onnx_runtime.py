"""Runs `model.onnx`, or its segments, with ONNX Runtime on the CPU, over token ids or over plain arrays. Knows neither torch nor rows.

Shapes: R rows in a rectangle, T tokens, H hidden units, W width of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from penjing.core import plugins
from penjing.core.graphs.batching import Described
from penjing.core.graphs.plain import Form, Plain
from penjing.core.graphs.runtime import Runtime
from penjing.core.graphs.segments import Chain
from penjing.core.machine import Machine
from penjing.core.types import NDArray

onnxruntime.disable_telemetry_events()  # on by default in Microsoft's Windows builds


class OnnxRuntime(Runtime):
    """To be looked into, it needs onnx, which serving does not: MissingLibrary where that is absent."""

    @classmethod
    def chain(cls, folder: Path) -> Chain:
        described, graphs = Described.with_graphs(folder, ".onnx")
        return Chain(described, [_Segment(path) for path in graphs])

    @classmethod
    def plain(cls, folder: Path) -> Plain:
        form = Form.read(folder, "model.onnx")
        return Plain(form, _Graph(folder / "model.onnx", form))


class _Segment:
    """A segment: its outputs are the logits and, but for the last one, the state."""

    def __init__(self, path: Path) -> None:
        self._path, self._session = path, _session(path)
        self._entering, self._mask = (one.name for one in self._session.get_inputs())

    def run(self, entering: NDArray, mask_RT: NDArray) -> list[NDArray]:
        found: list[NDArray] = self._session.run(None, {self._entering: entering, self._mask: mask_RT})
        return found

    def steps(self, entering: NDArray, mask_RT: NDArray) -> Iterator[tuple[str, NDArray]]:
        names, session = self._looked_into
        found = session.run([*names, session.get_outputs()[0].name], {self._entering: entering, self._mask: mask_RT})
        yield from zip([*names, "head"], found, strict=True)

    @cached_property
    def _looked_into(self) -> tuple[list[str], Any]:
        """The steps before the head, and a session that tells them."""
        model = _read(self._path)
        names = [name for node in model.graph.node for name in node.output if name.startswith(("embeddings", "layer ", "pooled"))]
        return names, _telling(model, names)


class _Graph:
    """A plain graph."""

    def __init__(self, path: Path, form: Form) -> None:
        self._path, self._form, self._session = path, form, _session(path)

    def run(self, arrays: Mapping[str, NDArray]) -> NDArray:
        [found] = self._session.run(None, dict(arrays))
        return np.asarray(found)

    def steps(self, arrays: Mapping[str, NDArray]) -> Sequence[NDArray]:
        found: list[NDArray] = self._looked_into.run([*self._form.steps[:-1], self._form.output], dict(arrays))
        return found

    @cached_property
    def _looked_into(self) -> Any:
        return _telling(_read(self._path), self._form.steps[:-1])


def _read(path: Path) -> Any:
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise plugins.missing(error, "comparison of layers in onnx-runtime") from error
    return onnx.load(path)


def _telling(model: Any, names: Sequence[str]) -> Any:
    """Return a session of `model` that can also be asked for the steps of these names."""
    import onnx

    held = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in held)
    return _session(model.SerializeToString())


def _session(model: Path | bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = Machine.here().cores
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
