"""A learner whose engine runs what it has learnt, here and when served: nothing is exported but what is saved. Knows no engine and no learning.

Layout of a folder: `learner.json` (options, output and its Spec) beside the engine's own files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

from penjing.core import plugins
from penjing.core.config import Section
from penjing.core.errors import PlanError, RunFailed
from penjing.core.files import read_json, write_json
from penjing.core.types import Batch, NDArray, Spec


def only(tier: str, outputs: Mapping[str, Spec]) -> tuple[str, Spec]:
    """Return the one output of a task. Raises PlanError for more, which `tier` cannot give."""
    if len(outputs) != 1:
        asked = f"{len(outputs)}: {', '.join(outputs)}"
        raise PlanError(f"The {tier} tier gives one array, and this task asks for {asked}. Leave the tier out.")
    [(output, spec)] = outputs.items()
    return output, spec


class ServedAsLearnt:
    """All of a learner but `plan` and `fit`; `fit` sets `engine`."""

    tier: ClassVar[str]
    """Its name in messages."""
    runtime: ClassVar[str]
    """Name of the engine."""
    Options: ClassVar[type[Section]]

    def __init__(self, options: Any, output: str, spec: Spec, engine: Any = None) -> None:
        self.options, self.output, self.spec, self.engine = options, output, spec, engine

    @classmethod
    def create(cls, options: Any, outputs: Mapping[str, Spec]) -> Self:
        """Raises PlanError for more than one output."""
        return cls(options, *only(cls.tier, outputs))

    @classmethod
    def open(cls, folder: Path) -> Self:
        told = read_json(folder / "learner.json")
        engine = plugins.load("engines", cls.runtime).open(folder)
        return cls(cls.Options(**told["options"]), told["output"], Spec(**told["spec"]), engine)

    def save(self, folder: Path) -> None:
        write_json(folder / "learner.json", {"options": self.options.model_dump(mode="json"), "output": self.output, "spec": asdict(self.spec)})
        self.learnt.save(folder)

    def export(self, folder: Path) -> str:
        self.learnt.save(folder)
        return self.runtime

    def run(self, batch: Batch) -> Batch:
        outputs: Batch = self.learnt.run(batch)
        return outputs

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield the steps of the engine that runs what was learnt, by name."""
        yield from self.learnt.layers(batch)

    @property
    def learnt(self) -> Any:
        """The engine. Raises RunFailed before it is there."""
        if self.engine is None:
            raise RunFailed(f"The {self.tier} tier has not learnt yet. Call fit first.")
        return self.engine
