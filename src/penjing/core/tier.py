"""A tier: one member of a cascade, and the one line that everything goes through.

Layout of a tier's folder: `tier.json` (names and options of task, processor and engine), and the engine's own files in `engine/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from penjing.core import plugins
from penjing.core.errors import RunFailed
from penjing.core.files import read_json, write_json
from penjing.core.protocols import Engine, HasExits, Processor, Task
from penjing.core.reasons import add_reasons
from penjing.core.types import Batch, Prediction, Row


@dataclass(frozen=True)
class Tier:
    """Rows → predictions."""

    name: str
    task: Task
    processor: Processor
    engine: Engine
    whole: str = ""
    """Of an early exit, the tier that it is part of: what it computed can be gone on with there."""

    def outputs(self, rows: Sequence[Row]) -> Batch:
        return self.engine.run(self.processor.encode(rows))

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        """Return one prediction a row, each with the name of the tier that made it."""
        if not rows:
            return []
        outputs = self.outputs(rows)
        predictions = self.task.decode(outputs, rows)
        add_reasons(self.task, self.outputs, rows, outputs, predictions)
        for prediction in predictions:
            prediction["tier"] = self.name
        return predictions

    def warm(self) -> None:
        self.outputs([self.task.example])

    @classmethod
    def open(cls, folder: Path) -> Tier:
        """Open a tier that `describe` and an engine's export wrote. Runs no code from it."""
        try:
            described = read_json(folder / "tier.json")
        except FileNotFoundError as error:
            raise RunFailed(f"{folder} holds no tier (tier.json is missing).") from error
        engine = plugins.load("engines", described["engine"]).open(folder / "engine")
        return cls(described["name"], unpacked("tasks", described["task"]), unpacked("processors", described["processor"]), engine)

    def work(self, rows: Sequence[Row]) -> float:
        """Return the multiplications that a row like `rows` takes."""
        return self.engine.work(self.processor.encode(rows)) / max(len(rows), 1)

    def members(self) -> list[Tier]:
        """Return the tiers that this one holds, cheapest first: its early exits, each named after it, and itself."""
        exits = self.engine.exits if isinstance(self.engine, HasExits) else {}
        return [*(replace(self, name=f"{self.name}@{name}", engine=engine, whole=self.name) for name, engine in exits.items()), self]


def whole_of(member: str) -> str:
    """Return the name of the tier that `member`, a tier or an early exit of one, lies in."""
    return member.partition("@")[0]


def describe(folder: Path, name: str, task: Task, processor: Processor, engine: str) -> None:
    """Write `tier.json`, so that `Tier.open(folder)` gives this tier back. `engine` is the name of the engine that opens `folder/engine`."""
    write_json(folder / "tier.json", {"name": name, "task": packed("tasks", task), "processor": packed("processors", processor), "engine": engine})


def packed(kind: str, thing: Any) -> dict[str, Any]:
    """Return a dataclass plugin as JSON: its name and its fields."""
    return {"name": plugins.name_of(kind, thing), "options": asdict(thing)}


def unpacked(kind: str, described: dict[str, Any]) -> Any:
    """Return the plugin that `packed` described."""
    return plugins.load(kind, described["name"])(**described["options"])
