"""A learner inside a learner: how an option names one, what it gets of the outer one's fitting, and how it is kept. Knows no learner by name.

Layout of a folder: `inner.json` (the learner's name and its options), `learner/` (its own files).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core import plugins
from penjing.core.config import check
from penjing.core.curve import Point
from penjing.core.errors import ConfigError, PlanError
from penjing.core.examples import Examples
from penjing.core.files import read_json, replace_folder, write_json
from penjing.core.flat import Flat
from penjing.core.protocols import Fitting, HasLayers, Learner, Silent
from penjing.core.types import Batch, NDArray, Spec

_DONE = "learnt"


class Inner(Flat):
    """A learner's name and its options, written flat in one mapping, as a tier is; it has neither a name of its own nor a teacher."""

    __slots__ = ("learner", "options")
    key, what = "learner", "A learner inside a tier is a learner's name"

    def __init__(self, learner: str, options: Any) -> None:
        self.learner, self.options = learner, options

    @classmethod
    def of(cls, name: str, rest: dict[str, Any]) -> Inner:
        if strange := [key for key in ("name", "teacher") if key in rest]:
            raise ConfigError(f"The learner {name!r} inside a tier has a {strange[0]!r}, which belongs to the tier. Move it there.")
        return cls(name, check(plugins.options("learners", name), rest, f"learner {name!r}"))

    def dump(self) -> dict[str, Any]:
        return {"learner": self.learner, **self.options.model_dump(mode="json")}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Inner) and self.dump() == other.dump()

    def __hash__(self) -> int:
        return hash(self.learner)

    def changed(self, values: Mapping[str, Any]) -> Inner:
        """Return it with these options in place of its own. Raises ConfigError where one cannot be."""
        return Inner.parse({**self.dump(), **values})

    @property
    def kind(self) -> Any:
        """The learner's class. Raises MissingLibrary."""
        return plugins.load("learners", self.learner)

    @property
    def processor(self) -> str:
        """The name of the processor whose batches it reads."""
        return processor_of(self.kind, self.options)

    @classmethod
    def choices(cls) -> list[dict[str, Any]]:
        # The options are not written out: learners inside learners would have no end.
        named = {"enum": plugins.names("learners")}
        return [named, {"type": "object", "properties": {"learner": named}, "required": ["learner"]}]


class AnswersBy:
    """A learner that answers by another: `answers_by`, a learner or an engine."""

    answers_by: Any

    def run(self, batch: Batch) -> Batch:
        answers: Batch = self.answers_by.run(batch)
        return answers

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield the steps of what answers, where it can be looked into."""
        if isinstance(self.answers_by, HasLayers):
            yield from self.answers_by.layers(batch)


def processor_of(kind: type[Learner], options: Any) -> str:
    """Return the name of the processor whose batches a learner reads; of one made of others, its options say (`options.processor`)."""
    return kind.processor or str(options.processor)


def alone(fitting: Fitting, tier: str) -> None:
    """Raise PlanError where several workers would learn together: a learner of learners keeps what is finished, and only one may write."""
    if fitting.workers.count > 1:
        raise PlanError(f"The {tier} tier learns one learner after the other, each by one worker. Leave distributed out for this tier.")


def seed_of(seed: int, number: int) -> int:
    """Return the seed of the inner learner of this number; the first has the outer one's own."""
    return seed if number == 0 else int(np.random.SeedSequence([seed % 2**63, number]).generate_state(1)[0] >> 1)


def within(fitting: Fitting, name: str, seed: int) -> Fitting:
    """Return what an inner learner called `name` gets: checkpoints of its own, no bar of its own, and curves told under its name."""
    checkpoints = fitting.checkpoints / name
    checkpoints.mkdir(parents=True, exist_ok=True)

    def tell(curve: str, point: Point) -> None:
        fitting.tell(f"{name}: {curve}", point)

    return replace(fitting, seed=seed, progress=Silent(), checkpoints=checkpoints, tell=tell)


def learnt(inner: Inner, outputs: Mapping[str, Spec], examples: Examples, validation: Examples, fitting: Fitting) -> Any:
    """Return the learner that `inner` becomes. `fitting.checkpoints` keeps it: one that was finished before a kill is opened, not learnt again."""
    done: Path = fitting.checkpoints / _DONE
    if not done.exists():
        learner = inner.kind.create(inner.options, outputs)
        learner.fit(examples, validation, fitting)
        keep(inner, learner, done)
        for path in fitting.checkpoints.iterdir():
            if path != done:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return opened(done)[1]


def keep(inner: Inner, learner: Any, folder: Path) -> None:
    """Put a learner and its options into `folder`, in one step."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "learner").mkdir(parents=True)
    save(inner, learner, partial)
    replace_folder(partial, folder)


def save(inner: Inner, learner: Any, folder: Path) -> None:
    """Write what `opened` reads."""
    (folder / "learner").mkdir(parents=True, exist_ok=True)
    learner.save(folder / "learner")
    write_json(folder / "inner.json", inner.dump())


def opened(folder: Path) -> tuple[Inner, Any]:
    """Return the learner in `folder`, and its options."""
    inner = Inner.parse(read_json(folder / "inner.json"))
    return inner, inner.kind.open(folder / "learner")
