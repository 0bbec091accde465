"""Runs `model.xml` over token ids with OpenVINO on the CPU. Knows neither torch nor texts.

Shapes: B examples, T tokens, W width of the output.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Self

from penjing.core.batching import Described, run_in_rectangles, token_ids
from penjing.core.types import Batch, NDArray

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


class OpenvinoRuntime:
    def __init__(self, folder: Path) -> None:
        self._described = Described.read(folder, "model.xml", "model.bin")
        hints = {
            openvino.properties.hint.inference_precision: openvino.Type.f32,  # else bfloat16 where it is quick; parity is with float32
            openvino.properties.hint.performance_mode: openvino.properties.hint.PerformanceMode.LATENCY,
            openvino.properties.enable_mmap: True,
        }
        self._request = _core().compile_model(folder / "model.xml", "CPU", hints).create_infer_request()
        self._lock = Lock()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what the transformer learner exported. Raises RunFailed where `folder` lacks it."""
        return cls(folder)

    def run(self, batch: Batch) -> Batch:
        told = self._described
        return {told.output: run_in_rectangles(token_ids(batch), told.spec.width, told.pad, self._rectangle)}

    def _rectangle(self, ids_BT: NDArray, mask_BT: NDArray) -> NDArray:
        with self._lock:  # one stream uses all cores: a second request at once would only wait, and hold memory
            self._request.infer({"input_ids": ids_BT, "attention_mask": mask_BT})
            result: NDArray = self._request.get_tensor(self._described.output).data.copy()
        return result
