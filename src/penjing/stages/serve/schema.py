"""What `POST /v1/predict` takes, as OpenAPI describes bodies. Knows the input columns by their example; not what answers them."""

from __future__ import annotations

from typing import Any

from penjing.core.types import Row
from penjing.stages.serve.lines import MEDIA as NDJSON
from penjing.stages.serve.values import is_file, kind_of, shortened

_FILE = {"type": "string", "format": "binary"}
_TYPED = {"type": "string"}


def bodies_of(example: Row) -> dict[str, Any]:
    """Return the content-types that a request may have, each with its schema."""
    bodies = {"application/json": {"schema": _rows(example)}, "multipart/form-data": {"schema": _form(example)}}
    bodies[NDJSON] = {"schema": {**row_schema(example), "description": "One row a line, answered line by line."}}
    if is_file(example):
        bodies |= {kind: {"schema": {"description": "The file itself: one row."}} for kind in ("image/*", "application/octet-stream")}
    return bodies


def row_schema(example: Row) -> dict[str, Any]:
    """Return the JSON Schema of a row like `example`."""
    return {
        "type": "object",
        "properties": {column: dict(kind_of(like).schema) for column, like in example.items()},
        "required": list(example),
        "additionalProperties": True,
        "description": "The input columns. Other fields are allowed and ignored.",
        "example": shortened(example),
    }


def _rows(example: Row) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"rows": {"type": "array", "items": row_schema(example)}},
        "required": ["rows"],
        "example": {"rows": [shortened(example)]},
    }


def _form(example: Row) -> dict[str, Any]:
    several = " A field that is repeated is one row each." if len(example) == 1 else ""
    return {
        "type": "object",
        "properties": {column: _FILE if isinstance(like, bytes) else _TYPED for column, like in example.items()},
        "required": list(example),
        "description": f"One row: a field for each input column, files as they are.{several}",
    }
