"""Runs `model.onnx` over token ids with ONNX Runtime on the CPU. Knows neither torch nor texts.

Shapes: B examples, T tokens, W width of the output.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import onnxruntime

from penjing.core.batching import Described, run_in_rectangles, token_ids
from penjing.core.machine import Machine
from penjing.core.types import Batch, NDArray

onnxruntime.disable_telemetry_events()  # on by default in Microsoft's Windows builds


class OnnxRuntime:
    def __init__(self, folder: Path) -> None:
        self._described = Described.read(folder, "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = Machine.here().cores
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what the transformer learner exported. Raises RunFailed where `folder` lacks it."""
        return cls(folder)

    def run(self, batch: Batch) -> Batch:
        told = self._described
        return {told.output: run_in_rectangles(token_ids(batch), told.spec.width, told.pad, self._rectangle)}

    def _rectangle(self, ids_BT: NDArray, mask_BT: NDArray) -> NDArray:
        result: NDArray = self._session.run([self._described.output], {"input_ids": ids_BT, "attention_mask": mask_BT})[0]
        return result
