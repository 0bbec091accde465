"""A learnt encoder → the files of a runtime. Knows no learner.

Each folder also gets `engine.json` (the output, the id to pad with, the depths of early exits), which every engine reads. With exits there
is one graph a segment, so that every weight is stored once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from penjing.training import graphs
from penjing.training.texts.encoder import Encoder
from penjing.training.texts.segments import Part, Whole, step_names

_FREE = {0: "batch", 1: "tokens"}


def exported(encoder: Encoder, folder: Path, runtime: str) -> None:
    """Write into `folder` what the engine called `runtime` opens."""
    folder.mkdir(parents=True, exist_ok=True)
    if runtime == "torch-runtime":
        encoder.save(folder)
        return
    write = {"openvino-runtime": graphs.write_openvino, "onnx-runtime": graphs.write_onnx}[runtime]
    for part, stem in zip(encoder.parts, encoder.described.stems, strict=True):
        example = _example(part, encoder)
        told = {encoder.output: -1} | ({"next_state": -3} if part.goes_on else {})
        with torch.inference_mode():
            steps = step_names(part.start, len(part(*example.values())))
        write(part, example, steps, told, folder / stem, dict.fromkeys(example, _FREE))
    encoder.described.write(folder)


def _example(part: Part | Whole, encoder: Encoder) -> dict[str, Any]:
    """Return two rows of which one is padded, so that no exporter concludes that masks are always full."""
    ids_BT = torch.full((2, 8), encoder.pad, dtype=torch.int64)
    mask_BT = torch.ones((2, 8), dtype=torch.int64)
    ids_BT[:, :5] = torch.arange(1, 6)
    mask_BT[1, 5:] = 0
    state_BTH = torch.ones((2, 8, encoder.head.in_features))
    return {part.entering: state_BTH if part.entering == "state" else ids_BT, "attention_mask": mask_BT}
