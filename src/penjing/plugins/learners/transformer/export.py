"""A learnt encoder → the files of a runtime, the same bytes each time, without chatter, traces or paths of the machine that made them.

Each folder also gets `engine.json` (the output, the id to pad with, the depths of early exits), which every engine reads. With exits there
is one graph a segment, so that every weight is stored once. The steps of the computation ("layer 1") keep their names in the graphs: that
is how an engine can be looked into.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from penjing.training.encoder import Encoder, quiet
from penjing.training.segments import Part, Whole, step_names


def exported(encoder: Encoder, folder: Path, runtime: str) -> None:
    """Write into `folder` what the engine called `runtime` opens."""
    folder.mkdir(parents=True, exist_ok=True)
    if runtime == "torch-runtime":
        encoder.save(folder)
        return
    write = {"openvino-runtime": _openvino, "onnx-runtime": _onnx}[runtime]
    for part, stem in zip(encoder.parts, encoder.described.stems, strict=True):
        write(part, encoder, folder / stem)
    encoder.described.write(folder)


def _openvino(part: Part | Whole, encoder: Encoder, stem: Path) -> None:
    """Write `.xml` and `.bin`, weights in float32."""
    # openvino reports each conversion to Google Analytics through this package where that is installed, unasked; without it, a stub is taken.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    with quiet(), torch.inference_mode():
        model = openvino.convert_model(part.eval(), example_input=tuple(_example(part, encoder).values()))
    values = [result.input_value(0) for result in model.get_results()]
    steps = dict(zip(step_names(part.start, len(values)), values, strict=True))
    told = {encoder.output: values[-1]} | ({"next_state": values[-3]} if part.goes_on else {})
    model = openvino.Model(list(told.values()), model.get_parameters(), "penjing")
    _name_by_place(model, {value.get_node().get_friendly_name(): name for name, value in steps.items()})
    for place, names in ((model.inputs, (part.entering, "attention_mask")), (model.outputs, tuple(told))):
        for port, name in zip(place, names, strict=True):
            port.get_tensor().set_names({name})
    openvino.save_model(model, stem.with_suffix(".xml"), compress_to_fp16=False)


def _name_by_place(model: Any, steps: Mapping[str, str]) -> None:
    """Name steps by what they are, and all else by its place in the graph: the names they come with count every layer the process has made."""
    for i, layer in enumerate(model.get_ordered_ops()):
        layer.set_friendly_name(steps.get(layer.get_friendly_name(), f"{layer.get_type_name()}_{i}"))


def _onnx(part: Part | Whole, encoder: Encoder, stem: Path) -> None:
    """Write `.onnx`."""
    free = {0: "batch", 1: "tokens"}
    example = tuple(_example(part, encoder).values())
    with quiet(), torch.inference_mode():
        names = [*step_names(part.start, len(part(*example)))[:-1], encoder.output]
        program: Any = torch.onnx.export(
            part.eval(),
            example,
            input_names=[part.entering, "attention_mask"],
            output_names=names,
            dynamic_shapes=(free, free),
            dynamo=True,
            verbose=False,
        )
        steps = program.model.graph.outputs
        steps[:] = [steps[-1], steps[-3]] if part.goes_on else [steps[-1]]
        _without_traces(program.model)
        program.save(stem.with_suffix(".onnx"))


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


def _example(part: Part | Whole, encoder: Encoder) -> dict[str, Any]:
    """Return two rows of which one is padded, so that no exporter concludes that masks are always full."""
    ids_BT = torch.full((2, 8), encoder.pad, dtype=torch.int64)
    mask_BT = torch.ones((2, 8), dtype=torch.int64)
    ids_BT[:, :5] = torch.arange(1, 6)
    mask_BT[1, 5:] = 0
    state_BTH = torch.ones((2, 8, encoder.head.in_features))
    return {part.entering: state_BTH if part.entering == "state" else ids_BT, "attention_mask": mask_BT}
