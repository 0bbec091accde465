"""Runs `model.onnx`, or its segments, over token ids with ONNX Runtime on the CPU. Knows neither torch nor texts.

Shapes: R rows in a rectangle, T tokens, H hidden units, W width of the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import onnxruntime

from penjing.core import plugins
from penjing.core.batching import Described
from penjing.core.machine import Machine
from penjing.core.segments import Chain
from penjing.core.types import NDArray

onnxruntime.disable_telemetry_events()  # on by default in Microsoft's Windows builds


class OnnxRuntime(Chain):
    """To be looked into, it needs onnx, which serving does not: MissingLibrary where that is absent."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what the transformer learner exported. Raises RunFailed where `folder` lacks it."""
        described, graphs = Described.with_graphs(folder, ".onnx")
        return cls(described, [_Graph(path) for path in graphs])


class _Graph:
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
        try:
            import onnx
        except ModuleNotFoundError as error:
            raise plugins.missing(error, "comparison of layers in onnx-runtime") from error
        model = onnx.load(self._path)
        held = {output.name for output in model.graph.output}
        names = [name for node in model.graph.node for name in node.output if name.startswith(("embeddings", "layer ", "pooled"))]
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in held)
        return names, _session(model.SerializeToString())


def _session(model: Path | bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = Machine.here().cores
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
