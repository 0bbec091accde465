"""The `tiers:` section: which learners to climb, cheapest first, each with the options of its own plugin."""

from __future__ import annotations

from typing import Any

from penjing.core import plugins
from penjing.core.config import Section, check
from penjing.core.flat import Flat, choice
from penjing.core.learning.inner import processor_of

REFERENCE = "reference"
TEACHER = (
    "Tier whose answers it learns from, beside what is true and on unlabelled rows too; "
    '"reference" is the best tier or blend of those without a teacher.'
)


class TierConfig(Flat):
    """One tier: a learner's name, a name of its own, perhaps a teacher, and the learner's options, written flat in one mapping.

    In YAML: `linear`, or `{learner: transformer, model: all-MiniLM-L6-v2, tune: frozen}`.
    """

    __slots__ = ("learner", "name", "options", "teacher")
    key, what = "learner", "A tier is a learner's name"

    def __init__(self, learner: str, name: str, options: Section, teacher: str | None = None) -> None:
        self.learner, self.name, self.options, self.teacher = learner, name, options, teacher

    @classmethod
    def of(cls, name: str, rest: dict[str, Any]) -> TierConfig:
        own, teacher = rest.pop("name", None), rest.pop("teacher", None)
        options = check(plugins.options("learners", name), rest, f"tier {own or name!r}")
        return cls(name, own or _name(name, rest, teacher), options, teacher)

    @property
    def processor(self) -> str:
        """Name of the processor whose batches its learner reads. Raises MissingLibrary."""
        return processor_of(plugins.load("learners", self.learner), self.options)

    def dump(self) -> dict[str, Any]:
        taught = {"teacher": self.teacher} if self.teacher else {}
        return {"learner": self.learner, "name": self.name, **taught, **self.options.model_dump(mode="json")}

    @classmethod
    def choices(cls) -> list[dict[str, Any]]:
        beside = {"name": {"type": "string", "description": "Its name in reports."}, "teacher": {"type": "string", "description": TEACHER}}
        found: list[dict[str, Any]] = [{"enum": plugins.names("learners"), "description": "A learner with its defaults."}]
        for name in plugins.names("learners"):
            told = choice("learner", name, plugins.options("learners", name), beside)
            found.append({**told, "required": ["learner", *told.get("required", [])]})
        return found


def _name(learner: str, options: dict[str, Any], teacher: str | None) -> str:
    return "-".join([learner, *(str(options[key]) for key in ("tune",) if key in options), *(["taught"] if teacher else [])])
