"""Requests and answers of the Open Inference Protocol: named tensors in JSON or raw bytes ↔ rows and predictions. Knows no HTTP.

A column is an input, one element a row; what a prediction says is an output, and what is neither text, number nor truth is told as JSON in a text.
Raw tensors follow their JSON in the order it names them (the binary tensor data extension): little-endian numbers, and each text as four bytes of
its length and its UTF-8.

Shapes: B rows; a tensor is (B,) or (B, 1).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penjing.core.errors import nearest
from penjing.core.types import Prediction, Row
from penjing.stages.serve.bodies import BadBody, json_in, row_of

_NUMBERS = {
    **{f"{kind}{bits}": f"<{letter}{bits // 8}" for kind, letter in (("INT", "i"), ("UINT", "u")) for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}
"""Each datatype of numbers, and how numpy reads it."""
_OF = {str: "BYTES", bytes: "BYTES", bool: "BOOL", int: "FP64", float: "FP64", type(None): "BYTES"}


@dataclass(frozen=True, slots=True)
class Question:
    """A request for inference."""

    rows: list[Row]
    id: str | None
    outputs: list[tuple[str, bool]]
    """Of those that are asked for, the name and whether it is told in raw bytes."""


@dataclass(frozen=True, slots=True)
class Form:
    """What the served model takes and tells, by an example of each."""

    example: Row
    answer: Prediction

    def inputs(self) -> list[dict[str, Any]]:
        """Return the inputs as the metadata of a model has them."""
        return [_told(name, _OF.get(type(like), "BYTES")) for name, like in self.example.items()]

    def outputs(self) -> list[dict[str, Any]]:
        """Return the outputs as the metadata of a model has them."""
        return [_told(name, _output(like)) for name, like in self.answer.items()]

    def question(self, body: bytes, json_length: int | None) -> Question:
        """Return what a request asks; json_length: bytes of the JSON before raw tensors, None where all is JSON. Raises BadBody."""
        if json_length is not None and not 0 <= json_length <= len(body):
            raise BadBody(400, f"The header says that the JSON has {json_length} bytes, and the body has {len(body)}.")
        given = _object(body[:json_length])
        raw = memoryview(body)[len(body) if json_length is None else json_length :]
        columns: dict[str, list[Any]] = {}
        for number, tensor in enumerate(_list(given, "inputs")):
            name, values, raw = self._column(tensor, f"/inputs/{number}", raw)
            columns[name] = values
        if len(raw):
            raise BadBody(400, f"{len(raw)} bytes are left after the last input. Say how long each is in its parameter binary_data_size.")
        return Question(self._rows(columns), _id(given), self._asked(given))

    def answered(self, told: Mapping[str, Any], question: Question, predictions: Sequence[Prediction]) -> tuple[bytes, int | None]:
        """Return the body of an answer that begins with `told`, and the bytes of its JSON where raw tensors follow."""
        outputs, after = [], []
        for name, binary in question.outputs:
            values = [prediction.get(name) for prediction in predictions]
            datatype = _output(self.answer[name])
            described = {"name": name, "datatype": datatype, "shape": [len(values)]}
            if binary:
                raw = _raw(datatype, values)
                after.append(raw)
                outputs.append({**described, "parameters": {"binary_data_size": len(raw)}})
            else:
                outputs.append({**described, "data": [_text(value) if datatype == "BYTES" else value for value in values]})
        head = {**told, **({"id": question.id} if question.id is not None else {}), "outputs": outputs}
        begun = json.dumps(head, ensure_ascii=False, allow_nan=False).encode()
        return b"".join([begun, *after]), len(begun) if after else None

    def _column(self, tensor: Any, pointer: str, raw: memoryview) -> tuple[str, list[Any], memoryview]:
        """Return a tensor's name, its values, and what is left of the raw bytes."""
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise BadBody(422, "An input is an object with a name, a datatype, a shape and data.", pointer)
        name, datatype, shape = tensor["name"], tensor.get("datatype"), tensor.get("shape")
        if name not in self.example:
            raise BadBody(422, f"There is no input {name!r}. {nearest(name, self.example)}", f"{pointer}/name")
        if datatype not in {"BYTES", "BOOL", *_NUMBERS}:
            raise BadBody(422, f"Input {name!r} has datatype {datatype!r}. Use {_OF.get(type(self.example[name]), 'BYTES')}.", f"{pointer}/datatype")
        if (
            not isinstance(shape, list)
            or not shape
            or len(shape) > 2
            or not all(type(n) is int and n >= 0 for n in shape)
            or shape[1:] not in ([], [1])
        ):
            raise BadBody(422, f"Input {name!r} has shape {shape!r}. Send one value a row: [rows] or [rows, 1].", f"{pointer}/shape")
        size = (tensor.get("parameters") or {}).get("binary_data_size")
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(raw):
                raise BadBody(400, f"Input {name!r} is said to have {size!r} raw bytes, and {len(raw)} are there.", f"{pointer}/parameters")
            values, raw = _read(name, datatype, raw[:size], isinstance(self.example[name], bytes), pointer), raw[size:]
        else:
            values = [one for part in _list(tensor, "data", pointer) for one in (part if isinstance(part, list) else [part])]
        if len(values) != shape[0]:
            raise BadBody(422, f"Input {name!r} has {len(values)} values, and its shape says {shape[0]}.", pointer)
        return name, values, raw

    def _rows(self, columns: Mapping[str, list[Any]]) -> list[Row]:
        if missing := [name for name in self.example if name not in columns]:
            raise BadBody(422, f"The input {missing[0]!r} is missing. Every request needs: {', '.join(map(repr, self.example))}.", "/inputs")
        counts = {name: len(values) for name, values in columns.items()}
        if len(set(counts.values())) > 1:
            raise BadBody(422, f"The inputs have different numbers of rows: {', '.join(f'{name} {n}' for name, n in counts.items())}.", "/inputs")
        return [
            row_of(number, dict(zip(columns, values, strict=True)), self.example)
            for number, values in enumerate(zip(*columns.values(), strict=True), 1)
        ]

    def _asked(self, given: Mapping[str, Any]) -> list[tuple[str, bool]]:
        everything = (given.get("parameters") or {}).get("binary_data_output", False) is True
        if "outputs" not in given:
            return [(name, everything) for name in self.answer]
        found = []
        for number, output in enumerate(_list(given, "outputs")):
            name = output.get("name") if isinstance(output, dict) else None
            if name not in self.answer:
                raise BadBody(422, f"There is no output {name!r}. {nearest(str(name), self.answer)}", f"/outputs/{number}")
            found.append((name, (output.get("parameters") or {}).get("binary_data", everything) is True))
        return found


def _one_a_row(shape: Any) -> bool:
    return isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape) and len(shape) in (1, 2) and shape[1:] in ([], [1])


def _told(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1]}


def _output(like: Any) -> str:
    return "BOOL" if isinstance(like, bool) else "FP64" if isinstance(like, int | float) else "BYTES"


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json_in(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadBody(400, f"The request is not JSON: {error}.") from error
    if not isinstance(given, dict) or not isinstance(given.get("parameters") or {}, dict):
        raise BadBody(422, 'The request must be an object with a list called "inputs".')
    return given


def _list(given: Mapping[str, Any], name: str, pointer: str = "") -> list[Any]:
    found = given.get(name)
    if not isinstance(found, list):
        raise BadBody(422, f"{name!r} must be a list.", f"{pointer}/{name}")
    return found


def _id(given: Mapping[str, Any]) -> str | None:
    return str(given["id"]) if "id" in given else None


def _read(name: str, datatype: str, raw: memoryview, files: bool, pointer: str) -> list[Any]:
    """Return the values of a raw tensor; files: whether texts are files, left as bytes."""
    if datatype == "BYTES":
        return _texts(name, raw, files, pointer)
    dtype = np.dtype("?" if datatype == "BOOL" else _NUMBERS[datatype])
    if len(raw) % dtype.itemsize:
        raise BadBody(400, f"Input {name!r} has {len(raw)} raw bytes, which is no whole number of {datatype}.", pointer)
    values: list[Any] = np.frombuffer(raw, dtype).tolist()
    return values


def _texts(name: str, raw: memoryview, files: bool, pointer: str) -> list[Any]:
    values: list[Any] = []
    at = 0
    while at < len(raw):
        end = at + 4 + (struct.unpack_from("<I", raw, at)[0] if at + 4 <= len(raw) else len(raw))
        if end > len(raw):
            raise BadBody(400, f"Input {name!r} ends in the middle of value {len(values) + 1}.", pointer)
        value = bytes(raw[at + 4 : end])
        try:
            values.append(value if files else value.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise BadBody(400, f"Input {name!r}, value {len(values) + 1}, is not UTF-8 (byte {error.start}).", pointer) from error
        at = end
    return values


def _raw(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        texts = [_text(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.asarray(values, "?" if datatype == "BOOL" else _NUMBERS[datatype]).tobytes()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)
