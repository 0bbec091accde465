"""A learnt encoder → the files of a runtime, the same bytes each time, without chatter, traces or paths of the machine that made them.

Each folder also gets `engine.json` (the output, and the id to pad with), which every engine reads.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from penjing.training.encoder import Encoder, quiet


def exported(encoder: Encoder, folder: Path, runtime: str) -> None:
    """Write into `folder` what the engine called `runtime` opens."""
    folder.mkdir(parents=True, exist_ok=True)
    {"openvino-runtime": _openvino, "onnx-runtime": _onnx, "torch-runtime": Encoder.save}[runtime](encoder, folder)
    encoder.describe(folder)


def _openvino(encoder: Encoder, folder: Path) -> None:
    """Write `model.xml` and `model.bin`, weights in float32."""
    # openvino reports each conversion to Google Analytics through this package where that is installed, unasked; without it, a stub is taken.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    with quiet(), torch.inference_mode():
        model = openvino.convert_model(encoder, example_input=_example(encoder))
    _name_by_place(model, encoder.output)
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)


def _name_by_place(model: Any, output: str) -> None:
    """Name layers by their place in the graph: the names they come with count every layer that the process has ever made."""
    model.set_friendly_name("penjing")
    for i, layer in enumerate(model.get_ordered_ops()):
        if layer.get_type_name() not in ("Parameter", "Result"):
            layer.set_friendly_name(f"{layer.get_type_name()}_{i}")
    model.outputs[0].get_tensor().set_names({output})
    model.get_results()[0].set_friendly_name(f"{output}/sink_port_0")


def _onnx(encoder: Encoder, folder: Path) -> None:
    """Write `model.onnx`."""
    free = {0: "batch", 1: "tokens"}
    with quiet(), torch.inference_mode():
        program: Any = torch.onnx.export(
            encoder,
            (),
            kwargs=_example(encoder),
            input_names=["input_ids", "attention_mask"],
            output_names=[encoder.output],
            dynamic_shapes={"input_ids": free, "attention_mask": free},
            dynamo=True,
            verbose=False,
        )
        _without_traces(program.model)
        program.save(folder / "model.onnx")


def _without_traces(model: Any) -> None:
    """Drop what the exporter notes beside the graph: stack traces with absolute paths, above all."""
    graphs = [model.graph, *model.functions.values()]
    for thing in [model, *graphs]:
        thing.metadata_props.clear()
    for graph in graphs:
        for node in graph.all_nodes() if hasattr(graph, "all_nodes") else graph:
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
    for value in [*model.graph.inputs, *model.graph.initializers.values()]:
        value.metadata_props.clear()


def _example(encoder: Encoder) -> dict[str, Any]:
    """Return two rows of which one is padded, so that no exporter concludes that masks are always full."""
    ids_BT = torch.full((2, 8), encoder.pad, dtype=torch.int64)
    mask_BT = torch.ones((2, 8), dtype=torch.int64)
    ids_BT[:, :5] = torch.arange(1, 6)
    mask_BT[1, 5:] = 0
    return {"input_ids": ids_BT, "attention_mask": mask_BT}
