"""A torch module → the graph of a runtime: the same bytes each time, without chatter, traces or paths of the machine that made it.

The steps of the computation ("layer 1") keep their names in the graph: that is how an engine can be looked into. Knows no kind of model.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from penjing.training.quiet import quiet

Free = Mapping[int, str]
"""The dimensions of an array that may be of any size, and what they count."""


def write_openvino(
    module: Any, example: Mapping[str, Any], steps: Sequence[str], told: Mapping[str, int], stem: Path, free: Mapping[str, Free]
) -> None:
    """Write `stem`.xml and .bin, weights in float32.

    module: called with the arrays of `example` in their order, returns the value of each of the `steps`; told: the name of each output of the
    graph, and which step it is; free: of each array.
    """
    # openvino reports each conversion to Google Analytics through this package where that is installed, unasked; without it, a stub is taken.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    shapes = [openvino.PartialShape([-1 if i in free[name] else size for i, size in enumerate(array.shape)]) for name, array in example.items()]
    with quiet(), torch.inference_mode():
        model = openvino.convert_model(module.eval(), example_input=tuple(example.values()), input=shapes)
    values = [result.input_value(0) for result in model.get_results()]
    model = openvino.Model([values[place] for place in told.values()], model.get_parameters(), "penjing")
    _name_by_place(model, {value.get_node().get_friendly_name(): name for name, value in zip(steps, values, strict=True)})
    for place, names in ((model.inputs, tuple(example)), (model.outputs, tuple(told))):
        for port, name in zip(place, names, strict=True):
            port.get_tensor().set_names({name})
    openvino.save_model(model, stem.with_suffix(".xml"), compress_to_fp16=False)


def write_onnx(module: Any, example: Mapping[str, Any], steps: Sequence[str], told: Mapping[str, int], stem: Path, free: Mapping[str, Free]) -> None:
    """Write `stem`.onnx, as `write_openvino` does; the last step is called by the name of the first output."""
    with quiet(), torch.inference_mode():
        program: Any = torch.onnx.export(
            _Called(module.eval()),
            tuple(example.values()),
            input_names=list(example),
            output_names=[*steps[:-1], next(iter(told))],
            dynamic_shapes=(tuple(dict(free[name]) for name in example),),
            dynamo=True,
            verbose=False,
        )
        outputs = program.model.graph.outputs
        outputs[:] = [outputs[place] for place in told.values()]
        _without_traces(program.model)
        program.save(stem.with_suffix(".onnx"))


class _Called(torch.nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """A module that is called with any number of arrays, so that torch's exporter is told of their shapes in one way."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, *arrays: Any) -> Any:
        return self.module(*arrays)


def _name_by_place(model: Any, steps: Mapping[str, str]) -> None:
    """Name steps by what they are, and all else by its place in the graph: the names they come with count every layer the process has made."""
    for i, layer in enumerate(model.get_ordered_ops()):
        layer.set_friendly_name(steps.get(layer.get_friendly_name(), f"{layer.get_type_name()}_{i}"))


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
