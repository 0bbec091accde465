"""Runs `model.xml` over token ids with OpenVINO on the CPU. Knows neither torch nor texts.

Shapes: B examples, T tokens, W width of the output.
"""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Lock
from typing import Self

from penjing.core.batching import run_in_rectangles, token_ids
from penjing.core.files import read_json
from penjing.core.types import Batch, NDArray

# openvino reports its import to Google Analytics through this package where that is installed, unasked; without it, a stub is taken.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
import openvino  # noqa: E402


class OpenvinoRuntime:
    def __init__(self, folder: Path) -> None:
        described = read_json(folder / "engine.json")
        ((self._output, spec),) = described["outputs"].items()
        self._width, self._pad = spec["width"], described["pad"]
        hints = {
            openvino.properties.hint.inference_precision: openvino.Type.f32,  # bfloat16, the default where it is quick, would not pass parity
            openvino.properties.hint.performance_mode: openvino.properties.hint.PerformanceMode.LATENCY,
            openvino.properties.enable_mmap: True,
        }
        self._request = openvino.Core().compile_model(folder / "model.xml", "CPU", hints).create_infer_request()
        self._lock = Lock()

    @classmethod
    def open(cls, folder: Path) -> Self:
        return cls(folder)

    def run(self, batch: Batch) -> Batch:
        return {self._output: run_in_rectangles(token_ids(batch), self._width, self._pad, self._rectangle)}

    def _rectangle(self, ids_BT: NDArray, mask_BT: NDArray) -> NDArray:
        with self._lock:  # one stream uses all cores: a second request at once would only wait, and hold memory
            self._request.infer({"input_ids": ids_BT, "attention_mask": mask_BT})
            result: NDArray = self._request.get_tensor(self._output).data.copy()
        return result
