"""A multipart/form-data body, already in memory, into its fields. Knows the form's syntax; not what the fields mean."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

MOST_FIELDS = 4096
"""More fields than any row has columns or any request rows; reading a hundred thousand would hold up everybody else."""

logging.getLogger("python_multipart.multipart").setLevel(logging.CRITICAL)  # it warns of every bad form, and the client is told already


class BadForm(Exception):
    """A body that cannot be read as a form; the message says why."""


@dataclass(slots=True)
class Field:
    """One part of a form."""

    headers: dict[str, str] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)

    @property
    def name(self) -> str | None:
        return self._said("name")

    @property
    def is_file(self) -> bool:
        """Whether the content is a file's bytes, rather than what somebody typed."""
        kind = self.headers.get("content-type", "text/plain")
        return self._said("filename") is not None or not kind.lower().startswith("text/")

    def _said(self, parameter: str) -> str | None:
        _, parameters = parse_options_header(self.headers.get("content-disposition"))
        value = parameters.get(parameter.encode())
        return None if value is None else value.decode("utf-8", "replace")


def fields_in(body: bytes, content_type: str) -> list[Field]:
    """Return the fields of the form in their order. Raises BadForm."""
    _, parameters = parse_options_header(content_type)
    if not parameters.get(b"boundary"):
        raise BadForm("its content-type names no boundary")
    reading = _Reading()
    try:
        parser = MultipartParser(parameters[b"boundary"], reading.callbacks())  # type: ignore[arg-type]
        parser.write(body)
    except FormParserError as error:
        raise BadForm(str(error)) from error
    if not reading.ended:
        raise BadForm("it ends before its last boundary")
    return reading.fields


class _Reading:
    """Gathers what the parser tells, piece by piece."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.ended = False
        self._name = bytearray()
        self._value = bytearray()

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_part_data": lambda data, start, end: self._last(data[start:end]),
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.fields) == MOST_FIELDS:
            raise BadForm(f"it has more than {MOST_FIELDS:,} fields")
        self.fields.append(Field())

    def _last(self, piece: bytes) -> None:
        self.fields[-1].content += piece

    def _header(self) -> None:
        # Names of columns are UTF-8 as browsers and curl send them; latin-1 is what the header's parser encodes to.
        self.fields[-1].headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        self.ended = True
