"""What a user writes flat in one mapping: a name, and the options of what is called so. Knows no kind of plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import pydantic
from pydantic_core import core_schema

from penjing.core.config import Section, described
from penjing.core.errors import ConfigError


class Flat:
    """A value of a config section. A class below says what it means and how it is dumped, and what may be written."""

    __slots__ = ()
    key: ClassVar[str]
    """The key beside the options that names what they are of."""
    what: ClassVar[str]
    """What it is, for messages: "A tier is a learner's name"."""
    nameless: ClassVar[bool] = False
    """Whether the name may be missing."""

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Return what `value`, a name or a mapping of a name and options, means. Raises ConfigError, nearest key offered."""
        if isinstance(value, cls):
            return value
        told = {cls.key: value} if isinstance(value, str) else value
        named = isinstance(told, dict) and isinstance(told.get(cls.key, "" if cls.nameless else None), str)
        if not named:
            raise ConfigError(f"{cls.what} or a mapping with the key {cls.key!r}, not {value!r}.")
        return cls.of(told.get(cls.key), {key: one for key, one in told.items() if key != cls.key})

    @classmethod
    def of(cls, name: Any, rest: dict[str, Any]) -> Self:
        """Return what is called `name` and has the options `rest`. Raises ConfigError, nearest key offered."""
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
