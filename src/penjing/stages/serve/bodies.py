"""From a request's body to rows, or to one sentence that says what is wrong with it. Knows JSON, forms and the input columns; not what answers them.

A body is JSON, unless its content-type says otherwise: multipart/form-data has fields named by columns, and image/* or
application/octet-stream is the file itself, where that is all that a row needs.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn

from penjing.core.errors import BadRequest, nearest
from penjing.core.types import Row
from penjing.stages.serve.forms import BadForm, Field, fields_in
from penjing.stages.serve.values import Unfit, is_file, kind_of, name_of


class BadBody(BadRequest):
    """A request that cannot be answered; `status` is its HTTP code, `pointer` the field that is to blame, where it is one (RFC 6901)."""

    def __init__(self, status: int, sentence: str, pointer: str = "") -> None:
        super().__init__(sentence)
        self.status, self.pointer = status, pointer


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


def rows_in(body: bytes, content_type: str, example: Row) -> list[Row]:
    """Return the rows of a request, with the columns of `example` only; other fields are ignored.

    Raises BadBody: 400 for what is not of its content-type, 415 for a file that is no row, 422 for rows that lack a column or hold a
    value of another kind.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _of_form(body, content_type, example)
    if kind.startswith("image/") or kind == "application/octet-stream":
        if is_file(example):
            return [row_of(1, dict.fromkeys(example, body), example)]
        if kind.startswith("image/"):
            raise BadBody(415, f"The body is {kind}, and a row needs: {_columns(example)}. Send {_expected(example)}.")
    return _of_json(body, example)


def row_of(number: int, given: Any, example: Row) -> Row:
    """Return the row that `given`, an object of JSON values, is, with the columns of `example`; `number` names it. Raises BadBody 422."""
    if not isinstance(given, Mapping):
        raise BadBody(422, f"{_row(number)} is {name_of(given)}, not an object. Send {_shape(example)}.", _pointer(number))
    return {column: _value(number, column, given, example) for column in example}


def row_in(line: bytes, example: Row) -> Row:
    """Return the row that a line of a stream is. Raises BadBody as `rows_in` does."""
    return row_of(0, _json(line, f"one object a line, such as {_shape(example)}", ""), example)


def line_too_long(limit_bytes: int) -> BadBody:
    """Return what is told of a line of a stream that is longer than a body may be."""
    return BadBody(413, f"The line is longer than {limit_bytes / 1e6:g} MB. Send smaller rows.")


def json_in(text: str) -> Any:
    """Return what the JSON `text` says. Raises ValueError, or RecursionError, for what is not JSON."""
    return json.loads(text, parse_constant=_refuse_constant)


def _of_json(body: bytes, example: Row) -> list[Row]:
    given = _json(body, _expected(example), ", or the file itself with its own content-type" if is_file(example) else "")
    if not isinstance(given, dict) or not isinstance(given.get("rows"), list):
        raise BadBody(422, f'The body must be an object with a list called "rows". Send {_expected(example)}.')
    return [row_of(number, row, example) for number, row in enumerate(given["rows"], 1)]


def _json(body: bytes, expected: str, itself: str) -> Any:
    """Return what `body` says; `expected` and `itself` say what to send instead. Raises BadBody 400."""
    try:
        return json_in(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadBody(400, f"The body is not UTF-8 (byte {error.start}). Send JSON in UTF-8{itself}.") from error
    except (ValueError, RecursionError) as error:
        raise BadBody(400, f"The body is not JSON: {error}. Send {expected}.") from error


def _of_form(body: bytes, content_type: str, example: Row) -> list[Row]:
    """Return one row; or, where a row is one column, as many as the form has fields of its name."""
    try:
        fields = fields_in(body, content_type)
    except BadForm as error:
        raise BadBody(400, f"The form cannot be read: {error}. Send multipart/form-data with fields named {_columns(example)}.") from error
    known = [(name, field) for field in fields if (name := field.name) in example and name is not None]
    if len(example) == 1 and known:
        return [row_of(number, {name: _content(number, name, field, example)}, example) for number, (name, field) in enumerate(known, 1)]
    row: dict[str, Any] = {str(field.name): None for field in fields}
    for name, field in known:
        if row[name] is not None:
            raise BadBody(422, f"The form has more than one field {name!r}, and it is one row. Send several rows as JSON.")
        row[name] = _content(1, name, field, example)
    return [row_of(1, row, example)]


def _content(number: int, column: str, field: Field, example: Row) -> str | bytes:
    """Return what a field holds: the bytes of a file, where the column takes files, or else its text."""
    content = bytes(field.content)
    if isinstance(example[column], bytes) and field.is_file:
        return content
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadBody(422, f"Row {number}: column {column!r} is not UTF-8 (byte {error.start}). Send text in UTF-8.") from error


def _value(number: int, column: str, given: Mapping[str, Any], example: Row) -> Any:
    if column not in given:
        offered = nearest(column, given) if given else "It is empty."
        raise BadBody(422, f"{_row(number)} has no column {column!r}. {offered} Every row needs: {_columns(example)}.", _pointer(number))
    try:
        return kind_of(example[column]).read(given[column])
    except Unfit as error:
        raise BadBody(422, f"{_row(number)}: column {column!r} {error}", _pointer(number, column)) from error


def _row(number: int) -> str:
    """Name a row; 0 is the one of a line, which has no number of its own."""
    return f"Row {number}" if number else "The row"


def _pointer(number: int, *fields: str) -> str:
    """Return where a row, or a field of it, stands in the body."""
    return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in ([*(("rows", str(number - 1)) if number else ()), *fields]))


def _columns(example: Row) -> str:
    return ", ".join(map(repr, example))


def _expected(example: Row) -> str:
    return f'{{"rows": [{_shape(example)}]}}'


def _shape(example: Row) -> str:
    return json.dumps(dict.fromkeys(example, "…"), ensure_ascii=False)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _too_long(limit_bytes: int) -> BadBody:
    return BadBody(413, f"The body is longer than {limit_bytes / 1e6:g} MB. Send fewer rows at a time, or smaller ones.")
