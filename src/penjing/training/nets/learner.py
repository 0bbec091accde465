"""A learner whose net is one of training/nets/net.py: all of it but planning and learning. Light: torch is imported by what runs, not by what plans.

Layout of a folder: `options.json` beside what `nets_files.save_net` writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from penjing.core.config import Section
from penjing.core.errors import RunFailed
from penjing.core.files import read_json, write_json
from penjing.core.learning.learnt import only
from penjing.core.types import Batch, NDArray, Spec

if TYPE_CHECKING:
    from penjing.core.graphs.plain import Form, Plain
    from penjing.training.nets.net import Net


class NetLearner:
    """`fit` calls `take`."""

    tier: ClassVar[str]
    """Its name in messages."""
    Options: ClassVar[type[Section]]

    def __init__(self, options: Any, output: str, spec: Spec) -> None:
        self.options, self.output, self.spec = options, output, spec
        self._net: Net | None = None
        self._form: Form | None = None

    @classmethod
    def create(cls, options: Any, outputs: Mapping[str, Spec]) -> Self:
        """Raises PlanError for more than one output."""
        return cls(options, *only(cls.tier, outputs))

    @classmethod
    def open(cls, folder: Path) -> Self:
        from penjing.training.nets.files import open_net

        net, form = open_net(folder)
        learner = cls(cls.Options(**read_json(folder / "options.json")), form.output, form.spec)
        learner._net, learner._form = net, form
        return learner

    def take(self, net: Net, example: Batch) -> None:
        """Be what `net` has learnt; example: a batch of two examples."""
        from penjing.training.nets.files import described

        self._net, self._form = net, described(net, example, self.output, self.spec)

    def run(self, batch: Batch) -> Batch:
        return self._engine.run(batch)

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        return self._engine.layers(batch)

    def weights(self) -> Mapping[str, NDArray]:
        from penjing.training.weights import weights_of

        return weights_of(self._learnt[0])

    def set_weights(self, weights: Mapping[str, NDArray]) -> None:
        from penjing.training.weights import set_weights_of

        set_weights_of(self._learnt[0], weights)

    def save(self, folder: Path) -> None:
        from penjing.training.nets.files import save_net

        net, form = self._learnt
        save_net(net, folder, form)
        write_json(folder / "options.json", self.options.model_dump(mode="json"))

    def export(self, folder: Path) -> str:
        from penjing.training.nets.files import export_net

        net, form = self._learnt
        runtime: str = self.options.runtime
        export_net(net, form.example, self.output, self.spec, folder, runtime)
        return runtime

    @property
    def _engine(self) -> Plain:
        from penjing.training.nets.files import in_torch

        return in_torch(*self._learnt)

    @property
    def _learnt(self) -> tuple[Net, Form]:
        """Raises RunFailed before anything is learnt."""
        if self._net is None or self._form is None:
            raise RunFailed(f"The {self.tier} tier has not learnt yet. Call fit first.")
        return self._net, self._form
