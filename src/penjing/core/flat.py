"""What a user writes flat in one mapping: a name, and the options of what is called so. Knows no kind of plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic
from pydantic_core import core_schema

from penjing.core.config import Section, described
from penjing.core.errors import ConfigError


class Flat:
    """A value of a config section. A class below says how it is parsed and dumped, and what may be written."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: Any) -> Any:
        """Return what `value` means. Raises ConfigError, nearest key offered."""
        raise NotImplementedError

    def dump(self) -> Any:
        """Return what `parse` makes the same of."""
        raise NotImplementedError

    @classmethod
    def choices(cls) -> list[dict[str, Any]]:
        """Return a JSON Schema for each way to write it."""
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: pydantic.GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def parsed(value: Any) -> Any:
            try:
                return cls.parse(value)
            except Exception as error:
                # pydantic carries a ValueError on to the one place that words all complaints.
                raise ValueError(ConfigError(str(error))) from error

        return core_schema.no_info_plain_validator_function(parsed, serialization=core_schema.plain_serializer_function_ser_schema(cls.dump))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: pydantic.GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": cls.choices()}


def choice(key: str, name: str, options: type[Section], beside: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the JSON Schema of the mapping whose `key` is `name`, with `options` and what else stands beside them."""
    told = described(options)
    told["properties"] = {key: {"const": name}, **(beside or {}), **told.get("properties", {})}
    return {**told, "title": name}
