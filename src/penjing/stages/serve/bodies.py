"""From a request's body to rows, or to one sentence that says what is wrong with it. Knows JSON and the input columns; not what answers them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn

from penjing.core.errors import BadRequest, nearest
from penjing.core.types import Row

_SURROGATE = re.compile("[\ud800-\udfff]")
_TEXT = ["string", "number", "boolean", "null"]
"""What a text column takes: a number counts as its digits, null as a missing value, as in training."""
_KINDS = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", type(None): "null"}


class BadBody(BadRequest):
    """A request that cannot be answered; `status` is its HTTP code."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def read_body(stream: AsyncIterator[bytes], limit_bytes: int, announced: str | None) -> bytes:
    """Return the body, and stop reading as soon as it is too long. Raises BadBody 413."""
    if announced is not None and announced.isdecimal() and int(announced) > limit_bytes:
        raise _too_long(limit_bytes)
    body = bytearray()
    async for chunk in stream:
        body += chunk
        if len(body) > limit_bytes:
            raise _too_long(limit_bytes)
    return bytes(body)


def rows_in(body: bytes, example: Row) -> list[Row]:
    """Return the rows of `{"rows": [{column: value}]}`, with the columns of `example` only; other fields are ignored.

    Raises BadBody 400 for what is not JSON, 422 for rows that lack a column or hold a value of another kind.
    """
    try:
        given = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise BadBody(400, f"The body is not UTF-8 (byte {error.start}). Send JSON in UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise BadBody(400, f'The body is not JSON: {error}. Send {{"rows": [{_shape(example)}]}}.') from error
    if not isinstance(given, dict) or not isinstance(given.get("rows"), list):
        raise BadBody(422, f'The body must be an object with a list called "rows". Send {{"rows": [{_shape(example)}]}}.')
    return [_row(number, row, example) for number, row in enumerate(given["rows"], 1)]


def _row(number: int, given: Any, example: Row) -> Row:
    if not isinstance(given, Mapping):
        raise BadBody(422, f"Row {number} is {_KINDS[type(given)]}, not an object. Send {_shape(example)}.")
    return {column: _value(number, column, given, example) for column in example}


def _value(number: int, column: str, given: Mapping[str, Any], example: Row) -> Any:
    if column not in given:
        offered = nearest(column, given) if given else "It is empty."
        raise BadBody(422, f"Row {number} has no column {column!r}. {offered} Every row needs: {', '.join(map(repr, example))}.")
    value = given[column]
    if isinstance(example[column], str) and isinstance(value, list | dict):
        raise BadBody(422, f"Row {number}: column {column!r} is {_KINDS[type(value)]}, not text. Put it in quotation marks.")
    if isinstance(value, str) and (half := _SURROGATE.search(value)):
        raise BadBody(422, f"Row {number}: column {column!r} holds half a character (a lone surrogate) at {half.start()}. Send whole ones.")
    return value


def _shape(example: Row) -> str:
    return json.dumps(dict.fromkeys(example, "…"), ensure_ascii=False)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _too_long(limit_bytes: int) -> BadBody:
    return BadBody(413, f"The body is longer than {limit_bytes / 1e6:g} MB. Send fewer rows at a time.")


def row_schema(example: Row) -> dict[str, Any]:
    """Return the JSON Schema of a row like `example`."""
    return {
        "type": "object",
        "properties": {column: {"type": _TEXT} if isinstance(like, str) else {} for column, like in example.items()},
        "required": list(example),
        "additionalProperties": True,
        "description": "The input columns. Other fields are allowed and ignored.",
        "example": dict(example),
    }
