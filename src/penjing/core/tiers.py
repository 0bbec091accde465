"""The `tiers:` section: which learners to climb, cheapest first, each with the options of its own plugin."""

from __future__ import annotations

from typing import Any

import pydantic
from pydantic_core import core_schema

from penjing.core import plugins
from penjing.core.config import Section, check
from penjing.core.errors import ConfigError


class TierConfig:
    """One tier: a learner's name, a name of its own, and the learner's options, written flat in one mapping.

    In YAML: `linear`, or `{learner: transformer, model: all-MiniLM-L6-v2, tune: frozen}`.
    """

    __slots__ = ("learner", "name", "options")

    def __init__(self, learner: str, name: str, options: Section) -> None:
        self.learner, self.name, self.options = learner, name, options

    @classmethod
    def parse(cls, value: Any) -> TierConfig:
        """Raises ConfigError, nearest key offered."""
        if isinstance(value, TierConfig):
            return value
        if isinstance(value, str):
            value = {"learner": value}
        if not isinstance(value, dict) or "learner" not in value:
            raise ConfigError(f"A tier is a learner's name or a mapping with the key 'learner', not {value!r}.")
        rest = {k: v for k, v in value.items() if k not in ("learner", "name")}
        options = check(plugins.options("learners", value["learner"]), rest, f"tier {value.get('name', value['learner'])!r}")
        return cls(value["learner"], value.get("name") or _name(value["learner"], rest), options)

    def dump(self) -> dict[str, Any]:
        return {"learner": self.learner, "name": self.name, **self.options.model_dump(mode="json")}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: pydantic.GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(_parsed, serialization=core_schema.plain_serializer_function_ser_schema(cls.dump))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: pydantic.GetJsonSchemaHandler) -> dict[str, Any]:
        choices: list[dict[str, Any]] = [{"enum": plugins.names("learners"), "description": "A learner with its defaults."}]
        for name in plugins.names("learners"):
            described = plugins.options("learners", name).model_json_schema()
            described["properties"] = {
                "learner": {"const": name},
                "name": {"type": "string", "description": "Its name in reports."},
                **described["properties"],
            }
            described["required"] = ["learner", *described.get("required", [])]
            choices.append({**described, "title": name})
        return {"anyOf": choices}


def _parsed(value: Any) -> TierConfig:
    try:
        return TierConfig.parse(value)
    except Exception as error:
        # pydantic carries a ValueError on to the one place that words all complaints.
        raise ValueError(ConfigError(str(error))) from error


def _name(learner: str, options: dict[str, Any]) -> str:
    return "-".join([learner, *(str(options[key]) for key in ("tune",) if key in options)])
