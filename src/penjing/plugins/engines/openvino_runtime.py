"""Runs `model.xml`, or its segments, with OpenVINO on the CPU, over token ids or over plain arrays. Knows neither torch nor rows.

Shapes: R rows in a rectangle, T tokens, H hidden units, W width of the output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from penjing.core.graphs.batching import Described
from penjing.core.graphs.plain import Form, Plain
from penjing.core.graphs.runtime import Runtime
from penjing.core.graphs.segments import Chain
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


class OpenvinoRuntime(Runtime):
    """To be looked into, the graphs are read and compiled once more, so that serving costs nothing for it."""

    @classmethod
    def chain(cls, folder: Path) -> Chain:
        described, graphs = Described.with_graphs(folder, ".xml", ".bin")
        lock = Lock()
        return Chain(described, [_Segment(path, described.output, lock) for path in graphs])

    @classmethod
    def plain(cls, folder: Path) -> Plain:
        form = Form.read(folder, "model.xml", "model.bin")
        return Plain(form, _Graph(folder / "model.xml", form))


class _Segment:
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
        held = {op.get_friendly_name() for op in model.get_ordered_ops()}
        layers = sorted((name for name in held if name.startswith("layer ")), key=lambda name: int(name.removeprefix("layer ")))
        names = [name for name in ("embeddings", *layers, "pooled", "head") if name in held]
        return names, _looking(model, names)


class _Graph:
    """A plain graph. The lock is for the same reason as that of segments."""

    def __init__(self, path: Path, form: Form) -> None:
        self._path, self._form, self._lock = path, form, Lock()
        self._request = _core().compile_model(path, "CPU", _hints()).create_infer_request()

    def run(self, arrays: Mapping[str, NDArray]) -> NDArray:
        with self._lock:
            self._request.infer(dict(arrays))
            found: NDArray = self._request.get_tensor(self._form.output).data.copy()
        return found

    def steps(self, arrays: Mapping[str, NDArray]) -> Sequence[NDArray]:
        with self._lock:
            self._looked_into.infer(dict(arrays))
            return [self._looked_into.get_output_tensor(i).data.copy() for i in range(len(self._form.steps))]

    @cached_property
    def _looked_into(self) -> Any:
        return _looking(_core().read_model(self._path), self._form.steps)


def _looking(model: Any, names: Sequence[str]) -> Any:
    """Return a request whose outputs are the steps of these names."""
    steps = {op.get_friendly_name(): op for op in model.get_ordered_ops()}
    looked = openvino.Model([steps[name].output(0) for name in names], model.get_parameters(), "steps")
    return _core().compile_model(looked, "CPU", _hints()).create_infer_request()


def _hints() -> dict[Any, Any]:
    return {
        openvino.properties.hint.inference_precision: openvino.Type.f32,  # else bfloat16 where it is quick; parity is with float32
        openvino.properties.hint.performance_mode: openvino.properties.hint.PerformanceMode.LATENCY,
        openvino.properties.enable_mmap: True,
    }
