"""The contracts between the floors. Each is small enough to implement in ten minutes; CONTRIBUTING.md has a worked example of each.

A task knows rows and answers, a processor knows rows and arrays, an engine knows arrays. They meet in one line:
`task.decode(engine.run(processor.encode(rows)), rows)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from penjing.core.allowance import Allowance
from penjing.core.config import Section
from penjing.core.curve import Point, Tell, nobody
from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.types import Batch, Estimate, Measurement, NDArray, Prediction, Row, Spec
from penjing.core.workers import Alone, Workers


@dataclass(frozen=True, slots=True)
class Found:
    """What a kind of input says of the columns of a user's data."""

    columns: list[str]
    """The input columns of this kind."""
    fit: float
    """How surely rows with these columns are of this kind: 0 not at all, 1 certainly."""
    why: str
    """One sentence for the user: what is read, and how to say otherwise; empty where there is nothing to say."""


class Inputs(Protocol):
    """A kind of input, such as texts, tables or images: finds its columns in the user's data. Holds nothing."""

    tiers: ClassVar[Sequence[Any]]
    """What is climbed when the user names no tiers, as in YAML: cheapest first."""
    recurs: ClassVar[bool]
    """Whether two different cases may have equal inputs, as rows of a table may. Where not, equal inputs are the same case seen twice."""

    @classmethod
    def find(cls, rows: Sequence[Row], names: Sequence[str], given: Sequence[str] | None) -> Found:
        """Return the columns among `names` that are of this kind, judged by a sample of rows.

        given: columns that the user named: all of them are read, and only judged. Where there is none of this kind, fit is 0.
        """

    @classmethod
    def examine(cls, rows: Sequence[Row], columns: Sequence[str], target: str) -> list[str]:
        """Return a sentence for everything about the training rows that looks wrong, with the evidence and the remedy."""

    @classmethod
    def like(cls, rows: Sequence[Row], columns: Sequence[str]) -> dict[str, Any]:
        """Return a made-up row that is like `rows` and is none of them; its values are str, float, bool, None or bytes."""


class Task(Protocol):
    """What is asked and how it is judged. A frozen dataclass in pure numpy; its fields are JSON and travel in the manifest."""

    inputs: ClassVar[str]
    """Name of the kind of input that it reads."""
    target: str
    """Name of the column to predict."""

    @property
    def outputs(self) -> Mapping[str, Spec]:
        """The arrays that every engine for this task returns."""

    @property
    def example(self) -> Row:
        """A row without target: warms an engine up, stands in the API page, feeds the contract test."""

    @classmethod
    def suits(cls, values: Sequence[Any]) -> tuple[float, str]:
        """Return how well a target column of these values suits the task (0 not at all, 1 certainly) and why, in a few words."""

    @classmethod
    def options_from(cls, rows: Sequence[Row], target: str, columns: Sequence[str]) -> dict[str, Any]:
        """Learn the fields (the labels, say) from training rows. Raises DataError where the target cannot be learnt."""

    def target_of(self, rows: Sequence[Row]) -> NDArray:
        """Return what is to be learnt: (B,) int64 for softmax, (B, width) float32 for sigmoid and identity.

        Raises DataError for a value that training did not see.
        """

    def strata(self, rows: Sequence[Row]) -> NDArray:
        """Return (B,) int64 classes to balance the splits by (all zero where there are none)."""

    def decode(self, outputs: Batch, rows: Sequence[Row]) -> list[Prediction]: ...

    def confidence(self, outputs: Batch) -> NDArray:
        """Return (B,) in 0..1: what a cascade defers on."""

    def agreement(self, ours: Batch, theirs: Batch) -> NDArray:
        """Return (B,) in 0..1: whether two engines' outputs mean the same answer. What parity and a promise of agreement compare."""

    def credit(self, outputs: Batch, rows: Sequence[Row]) -> NDArray:
        """Return (B,), at most 1: how right each answer is by the row's own target. 1 and 0 where an answer is right or wrong.

        Its mean is what a cascade promises to keep, and its differences, row by row, are what a step up is said to gain.
        """

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> list[Measurement]:
        """Judge predictions against rows; the first measurement is the one that tiers are ranked by."""


class Predictor(Protocol):
    """Rows → predictions: a tier, or a cascade of them."""

    @property
    def name(self) -> str: ...

    @property
    def task(self) -> Task: ...

    def outputs(self, rows: Sequence[Row]) -> Batch:
        """Return the arrays of `task.outputs` for `rows`."""

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        """Return one prediction a row; its "tier" says what answered."""

    def warm(self) -> None:
        """Answer the task's example with everything that could be asked, so that no request waits for a file or a shape."""


class Processor(Protocol):
    """Rows → batch, with options learnt from training rows only. A frozen dataclass; the same bytes in training and serving."""

    inputs: ClassVar[str]
    """Name of the kind of input that it encodes."""

    @classmethod
    def options_from(cls, rows: Sequence[Row], columns: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the constructor's arguments (JSON), from training rows, the input columns and the tier's own options."""

    def encode(self, rows: Sequence[Row]) -> Batch: ...


class Engine(Protocol):
    """Batch → outputs in one runtime. Thread-safe: `run` may be called from several threads."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what a learner exported into `folder`. Runs no code from it and reads no pickle."""

    def run(self, batch: Batch) -> Batch: ...

    def work(self, batch: Batch) -> float:
        """Return about how many multiplications `run` takes: by it, and not by the clock, tiers are put in order."""


@runtime_checkable
class HasNames(Protocol):
    """A processor that can say what stands in its arrays; asked for by type, for learners that the user tells things about columns."""

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        """Return the name of each column of each array."""


@runtime_checkable
class HasExits(Protocol):
    """An engine (or learner) that can also answer early; asked for by type. Each exit becomes a tier of its own before the whole."""

    @property
    def exits(self) -> Mapping[str, Engine]:
        """Return the early exits by name, the shallowest first.

        What an exit's `run` returns beside the task's outputs is its state; the next exit, or the whole, that finds the state in its batch
        goes on from there, and without it begins at the beginning.
        """


@runtime_checkable
class HasLayers(Protocol):
    """An engine (or learner) that can be looked into, step by step; asked for by type when two sides of a hand-over differ."""

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield the name and the values of every step between batch and outputs, in their order; the same names on both sides."""


class Progress(Protocol):
    """Where a long step says how far it is. The default is silent; the command line draws a bar."""

    def start(self, what: str, total: float) -> None: ...
    def advance(self, done: float, note: str = "") -> None: ...
    def finish(self) -> None: ...

    def learning(self, name: str, point: Point) -> None:
        """Show how the learning called `name` goes, about once a second."""

    def say(self, sentence: str) -> None:
        """Tell the user something worth keeping: what was inferred, dropped, chosen or measured."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """What a learner gets from the run while it learns."""

    seed: int
    progress: Progress
    checkpoints: Path
    """A folder that survives a kill; a learner that finds its own checkpoint there goes on from it."""
    cache: Path
    """A folder for arrays that can be computed again, named by their content."""
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What stands in each column of each array, where the processor can say."""
    unlabelled: Examples | None = None
    """Encoded rows without answers, where the user gave some; their targets mean nothing."""
    allowance: Allowance = field(default_factory=Allowance)
    """What learning may still spend; a learner that is past it stops with the best it has."""
    tell: Tell = nobody
    """Is told how learning goes."""
    workers: Workers = field(default_factory=Alone)
    """Who learns together."""


class Learner(Protocol):
    """An engine that can also learn, and export itself."""

    processor: ClassVar[str]
    """Name of the processor whose batches it reads."""
    Options: ClassVar[type[Section]]

    @classmethod
    def plan(cls, options: Any, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int) -> Estimate:
        """Return what learning from `count` rows like `rows` (a sample) will cost. Raises PlanError where it cannot work."""

    @classmethod
    def create(cls, options: Any, outputs: Mapping[str, Spec]) -> Self: ...

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `save` wrote."""

    def fit(self, examples: Examples, validation: Examples, fitting: Fitting) -> None: ...
    def run(self, batch: Batch) -> Batch: ...
    def save(self, folder: Path) -> None: ...

    def export(self, folder: Path) -> str:
        """Write the form that is served into `folder` and return the name of the engine that opens it."""


class Source(Protocol):
    """Reads one format of the user's data, row by row, in bounded memory. One that knows what is to be predicted may say so
    (`target`), and one whose rows name files that lie elsewhere (`names_files`).
    """

    @classmethod
    def matches(cls, path: Path) -> int:
        """Return how surely `path` is of this format: 0 it is not, 1 by its name, 2 by what lies in it."""

    @classmethod
    def splits(cls, path: Path) -> list[str]:
        """Return the names of the splits that `path` comes with ("train", "validation", "test"); empty where it is one whole."""

    @classmethod
    def read(cls, path: Path, split: str, encoding: str) -> Iterator[list[Row]]:
        """Yield rows, some thousand at a time, in their order. Raises DataError with file and line."""


class Cleaner(Protocol):
    """A function that finds rows to drop; the name of its file is the reason given for each. Where its module has a function
    `why(row, columns)`, that says more of the first of them.
    """

    def __call__(self, rows: Sequence[Row], columns: Sequence[str], target: str) -> NDArray:
        """Return (B,) bool, true for rows to keep."""


@dataclass(frozen=True)
class Subject:
    """What a check looks at: something that answers rows, and rows with known answers."""

    task: Task
    rows: Sequence[Row]
    outputs: Callable[[Sequence[Row]], Batch]
    predict: Callable[[Sequence[Row]], list[Prediction]]
    folder: Path
    """Where it lies on the disk."""
    reference: Callable[[Sequence[Row]], Batch] | None = None
    """The outputs of the side that it was made from."""


class Check(Protocol):
    """A function that measures one thing. It holds no threshold."""

    def __call__(self, subject: Subject) -> list[Measurement]: ...


class Signer(Protocol):
    """Signs and verifies a folder. Package needs one; the pipeline hands the implementation in."""

    def sign(self, folder: Path) -> None: ...

    def verify(self, folder: Path) -> str:
        """Return the name of the trusted key that signed `folder`. Raises Refused."""


class Silent:
    """A Progress that says nothing."""

    def start(self, what: str, total: float) -> None: ...
    def advance(self, done: float, note: str = "") -> None: ...
    def learning(self, name: str, point: Point) -> None: ...
    def finish(self) -> None: ...
    def say(self, sentence: str) -> None: ...
