"""The `tiers:` section: which learners to climb, cheapest first, each with the options of its own plugin."""

from __future__ import annotations

from typing import Any

import pydantic
from pydantic_core import core_schema

from penjing.core import plugins
from penjing.core.config import Section, check
from penjing.core.config import described as schema_of
from penjing.core.errors import ConfigError
from penjing.core.inner import processor_of

REFERENCE = "reference"
TEACHER = (
    "Tier whose answers it learns from, beside what is true and on unlabelled rows too; "
    '"reference" is the best tier or blend of those without a teacher.'
)


class TierConfig:
    """One tier: a learner's name, a name of its own, perhaps a teacher, and the learner's options, written flat in one mapping.

    In YAML: `linear`, or `{learner: transformer, model: all-MiniLM-L6-v2, tune: frozen}`.
    """

    __slots__ = ("learner", "name", "options", "teacher")

    def __init__(self, learner: str, name: str, options: Section, teacher: str | None = None) -> None:
        self.learner, self.name, self.options, self.teacher = learner, name, options, teacher

    @classmethod
    def parse(cls, value: Any) -> TierConfig:
        """Raises ConfigError, nearest key offered."""
        if isinstance(value, TierConfig):
            return value
        if isinstance(value, str):
            value = {"learner": value}
        if not isinstance(value, dict) or "learner" not in value:
            raise ConfigError(f"A tier is a learner's name or a mapping with the key 'learner', not {value!r}.")
        rest = {k: v for k, v in value.items() if k not in ("learner", "name", "teacher")}
        options = check(plugins.options("learners", value["learner"]), rest, f"tier {value.get('name', value['learner'])!r}")
        teacher = value.get("teacher")
        return cls(value["learner"], value.get("name") or _name(value["learner"], rest, teacher), options, teacher)

    @property
    def processor(self) -> str:
        """Name of the processor whose batches its learner reads. Raises MissingLibrary."""
        return processor_of(plugins.load("learners", self.learner), self.options)

    def dump(self) -> dict[str, Any]:
        taught = {"teacher": self.teacher} if self.teacher else {}
        return {"learner": self.learner, "name": self.name, **taught, **self.options.model_dump(mode="json")}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: pydantic.GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(_parsed, serialization=core_schema.plain_serializer_function_ser_schema(cls.dump))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: pydantic.GetJsonSchemaHandler) -> dict[str, Any]:
        choices: list[dict[str, Any]] = [{"enum": plugins.names("learners"), "description": "A learner with its defaults."}]
        for name in plugins.names("learners"):
            described = schema_of(plugins.options("learners", name))
            described["properties"] = {
                "learner": {"const": name},
                "name": {"type": "string", "description": "Its name in reports."},
                "teacher": {"type": "string", "description": TEACHER},
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


def _name(learner: str, options: dict[str, Any], teacher: str | None) -> str:
    return "-".join([learner, *(str(options[key]) for key in ("tune",) if key in options), *(["taught"] if teacher else [])])
