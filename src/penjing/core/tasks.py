"""The `task:` key: the name of a task, or a mapping of the name and the task's own options."""

from __future__ import annotations

from typing import Any

from penjing.core import plugins
from penjing.core.config import Section, check
from penjing.core.errors import ConfigError
from penjing.core.flat import Flat, choice


class TaskConfig(Flat):
    """A task and what a user may set of it. In YAML: `text-regression`, or `{name: tabular-classification, reasons: 4}`.

    The name may be missing: which task it is is then found out from the data, and it must have these options.
    """

    __slots__ = ("name", "options")
    key, what, nameless = "name", "A task is a name", True

    def __init__(self, name: str | None, options: dict[str, Any]) -> None:
        self.name, self.options = name, options

    @classmethod
    def of(cls, name: str | None, rest: dict[str, Any]) -> TaskConfig:
        config = cls(name, rest)
        if name is not None:
            config.fields(name)
        return config

    def fields(self, name: str) -> dict[str, Any]:
        """Return the options as fields of the task called `name`. Raises ConfigError where it has not all of them."""
        kind = options_of(name)
        if kind is None:
            if self.options:
                raise ConfigError(f"The task {name!r} has no option {next(iter(self.options))!r}: nothing can be set for it. Write task: {name}")
            return {}
        return check(kind, self.options, f"task {name!r}").model_dump(mode="json")

    def dump(self) -> Any:
        return {"name": self.name, **self.options} if self.options else self.name

    @classmethod
    def choices(cls) -> list[dict[str, Any]]:
        named = {"enum": plugins.names("tasks"), "description": "A task with its defaults."}
        kinds = {name: options_of(name) for name in plugins.names("tasks")}
        return [named, *(choice("name", name, kind) for name, kind in kinds.items() if kind is not None)]


def options_of(name: str) -> type[Section] | None:
    """Return what a user may set for the task called `name`; None for nothing. Raises BadRequest for an unknown name."""
    found: type[Section] | None = getattr(plugins.load("tasks", name), "Options", None)
    return found
