"""The network tier for tables: an MLP or an FT-Transformer over what the processor `columns` makes.

Planning stays light: torch is imported by what learns, runs and exports, not by what plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from penjing.core.errors import PlanError
from penjing.core.examples import Examples
from penjing.core.files import read_json, write_json
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Batch, Estimate, NDArray, Row, Spec
from penjing.plugins.learners.tabular_network import options as settings
from penjing.plugins.learners.tabular_network import planning

if TYPE_CHECKING:
    from penjing.core.plain import Form, Plain
    from penjing.training.nets import Net


class TabularNetwork:
    processor: ClassVar[str] = "columns"
    Options: ClassVar[type[settings.Options]] = settings.Options

    def __init__(self, options: settings.Options, output: str, spec: Spec) -> None:
        self.options, self.output, self.spec = options, output, spec
        self._learnt: tuple[Net, Form] | None = None

    @classmethod
    def plan(
        cls, options: settings.Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        """Raises PlanError for more than one output and for a width that cannot be, MissingLibrary without torch or the runtime."""
        return planning.estimate(options, rows, columns, outputs, machine, count)

    @classmethod
    def create(cls, options: settings.Options, outputs: Mapping[str, Spec]) -> Self:
        """Raises PlanError for more than one output."""
        if len(outputs) != 1:
            raise PlanError(f"A tabular network learns one output, and the task asks for {len(outputs)}. Leave the tier out.")
        [(output, spec)] = outputs.items()
        return cls(options, output, spec)

    @classmethod
    def open(cls, folder: Path) -> Self:
        from penjing.training.nets_files import open_net

        net, form = open_net(folder)
        learner = cls(settings.Options(**read_json(folder / "options.json")), form.output, form.spec)
        learner._learnt = net, form
        return learner

    @property
    def net(self) -> tuple[Net, Form]:
        """What was learnt, and what is said of it. Raises ValueError before it is."""
        if self._learnt is None:
            raise ValueError("This network has learnt nothing yet: call fit, or open a folder that save wrote.")
        return self._learnt

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None:
        """Learn from `examples`. Raises DataError without any column, RunFailed where learning diverges."""
        from penjing.plugins.learners.tabular_network.learning import example, learnt
        from penjing.training.nets_files import described

        net = learnt(self.options, self.spec, examples, validation, fitting)
        self._learnt = net, described(net, example(examples.inputs), self.output, self.spec)

    def run(self, batch: Batch) -> Batch:
        return self._engine.run(batch)

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        return self._engine.layers(batch)

    def save(self, folder: Path) -> None:
        from penjing.training.nets_files import save_net

        save_net(self.net[0], folder, self.net[1])
        write_json(folder / "options.json", self.options.model_dump(mode="json"))

    def export(self, folder: Path) -> str:
        from penjing.training.nets_files import export_net

        net, form = self.net
        export_net(net, form.example, form.output, form.spec, folder, self.options.runtime)
        return self.options.runtime

    @property
    def _engine(self) -> Plain:
        from penjing.training.nets_files import in_torch

        return in_torch(*self.net)
