"""Runs `model.xml`, or its segments, over token ids with OpenVINO on the CPU. Knows neither torch nor texts.

Shapes: R rows in a rectangle, T tokens, H hidden units, W width of the output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Self

from penjing.core.batching import Described
from penjing.core.segments import Chain
from penjing.core.types import NDArray

# openvino reports its import to Google Analytics through this package where that is installed, unasked; without it, a stub is taken.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
import openvino  # noqa: E402


@cache
def _core() -> openvino.Core:
    """Return the one Core of this process, which is never let go.

    The CPU plugin gives the thread that loads it a stack for signal handlers and unmaps it when the last Core goes, without telling the
    kernel: the next signal, such as Ctrl-C, would then end the process with a segmentation fault.
    """
    return openvino.Core()


class OpenvinoRuntime(Chain):
    """To be looked into, the graphs are read and compiled once more, so that serving costs nothing for it."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what the transformer learner exported. Raises RunFailed where `folder` lacks it."""
        described, graphs = Described.with_graphs(folder, ".xml", ".bin")
        lock = Lock()
        return cls(described, [_Graph(path, described.output, lock) for path in graphs])


class _Graph:
    """A segment. `lock` is that of its engine: one stream uses all cores, and a second request at once would only wait, and hold memory."""

    def __init__(self, path: Path, output: str, lock: Lock) -> None:
        self._path, self._lock = path, lock
        model = _core().compile_model(path, "CPU", _hints())
        names = {name for port in model.inputs for name in port.get_names()}
        self._entering = "input_ids" if "input_ids" in names else "state"
        self._told = [output, "next_state"][: len(model.outputs)]
        self._request = model.create_infer_request()

    def run(self, entering: NDArray, mask_RT: NDArray) -> list[NDArray]:
        with self._lock:
            self._request.infer({self._entering: entering, "attention_mask": mask_RT})
            return [self._request.get_tensor(name).data.copy() for name in self._told]

    def steps(self, entering: NDArray, mask_RT: NDArray) -> Iterator[tuple[str, NDArray]]:
        names, request = self._looked_into
        with self._lock:
            request.infer({self._entering: entering, "attention_mask": mask_RT})
            found = [request.get_output_tensor(i).data.copy() for i in range(len(names))]
        yield from zip(names, found, strict=True)

    @cached_property
    def _looked_into(self) -> tuple[list[str], Any]:
        """The steps, and a request whose outputs they are."""
        model = _core().read_model(self._path)
        steps = {op.get_friendly_name(): op for op in model.get_ordered_ops()}
        layers = sorted((name for name in steps if name.startswith("layer ")), key=lambda name: int(name.removeprefix("layer ")))
        names = [name for name in ("embeddings", *layers, "pooled", "head") if name in steps]
        looked = openvino.Model([steps[name].output(0) for name in names], model.get_parameters(), "steps")
        return names, _core().compile_model(looked, "CPU", _hints()).create_infer_request()


def _hints() -> dict[Any, Any]:
    return {
        openvino.properties.hint.inference_precision: openvino.Type.f32,  # else bfloat16 where it is quick; parity is with float32
        openvino.properties.hint.performance_mode: openvino.properties.hint.PerformanceMode.LATENCY,
        openvino.properties.enable_mmap: True,
    }
