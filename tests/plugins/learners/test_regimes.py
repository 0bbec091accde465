"""Every learner that descends hands its whole regime to the loop: each key of it acts, or is refused. A new learner is picked up by its name."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Batch, NDArray, Row, take
from penjing.training.regime import Regime

LEARNERS = [name for name in plugins.names("learners") if issubclass(plugins.options("learners", name), Regime)]
TASKS = {"text": "text-classification", "table": "tabular-classification", "image": "image-classification"}
WORDS = ["works", "well", "pain", "no", "help", "relief", "very", "the", "doctor", "gave", "me", "this", "worse"]
COMMON = {"epochs": 2, "batch_size": 12, "learning_rate": 0.01, "precision": "f32", "patience": 9}
SMALL: dict[str, dict[str, Any]] = {
    "tabular-network": {"width": 16, "layers": 2},
    "image-network": {"size": 16, "channels": 8, "stages": 2},
    "backbone": {"tune": "full"},
    "transformer": {"tune": "full", "max_tokens": 32},
    "text-network": {"width": 32, "layers": 1, "vocabulary": 300, "pretrain": {"objective": "none"}},
}
OTHER: dict[str, dict[str, Any]] = {
    "epochs": {"epochs": 1},
    "learning_rate": {"learning_rate": 0.003},
    "batch_size": {"batch_size": 8},
    "optimizer": {"optimizer": "lion"},
    "schedule": {"schedule": "cosine"},
    "warm_up": {"warm_up": 0.6},
    "weight_decay": {"weight_decay": 2.0},
    "l1": {"l1": 0.01},
    "clip": {"clip": 0.001},
    "label_smoothing": {"label_smoothing": 0.3},
    "average": {"average": "ema"},
    "ema_decay": {"average": "ema", "ema_decay": 0.1},
    "precision": {"precision": "bf16"},
}
"""Another value of each key that changes what is learnt."""
BESIDE = {"ema_decay": {"average": "ema"}}
"""What the value before is held against, where it takes more than the key."""


def row(kind: str, i: int) -> Row:
    """Return the inputs of row `i`, which have something to do with whether `i` is even."""
    random = np.random.default_rng(i)
    if kind == "text":
        return {"text": " ".join([*random.choice(WORDS, random.integers(2, 9)), ("good", "bad")[i % 2]])}
    if kind == "table":
        return {"age": str(random.normal() + i % 2), "size": str(random.normal()), "job": random.choice(["cook", "clerk", "smith"])}
    from PIL import Image

    pixels = random.integers(0, 90, (32, 32, 3)).astype(np.uint8)
    pixels[8:20, 8:20] = 220 if i % 2 else 40
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"image": file.getvalue()}


class Case:
    """A learner with options for a small net, a task of two classes, and rows for it."""

    def __init__(self, name: str, models: dict[str, Path], folder: Callable[[], Path]) -> None:
        self.kind, self.section, self.folder, self.name = plugins.load("learners", name), plugins.options("learners", name), folder, name
        processor_of = plugins.load("processors", self.kind.processor)
        self.inputs, self.model = processor_of.inputs, models.get(processor_of.inputs)
        task_of = plugins.load("tasks", TASKS[self.inputs])
        self.rows = [{**row(self.inputs, i), "answer": ("yes", "no")[i % 2]} for i in range(160)]
        self.columns = list(row(self.inputs, 0))
        self.task = task_of(**task_of.options_from(self.rows, "answer", self.columns))
        self.processor = processor_of(**processor_of.options_from(self.rows, self.columns, self.options().resolved()))
        self.batch: Batch = self.processor.encode(self.rows)
        self.target = self.task.target_of(self.rows)
        self._answers: dict[str, NDArray] = {}

    def options(self, **given: Any) -> Any:
        model = {"model": str(self.model)} if "model" in self.section.model_fields else {}
        return self.section(**{**COMMON, **model, **SMALL.get(self.name, {}), **given})

    def fit(self, count: int = 36, spoilt: bool = False, **given: Any) -> tuple[Any, list[Any]]:
        """Return what is learnt from `count` rows, and the points of its curves. Without validation rows the last epoch is kept.

        spoilt: judge by rows whose answers are the wrong ones, so that learning makes it worse.
        """
        told: list[Any] = []
        some, none = np.arange(count), np.arange(24 if spoilt else 0)
        examples = Examples(take(self.batch, some), self.target[some])
        validation = Examples(take(self.batch, none), 1 - self.target[none])
        folder = self.folder()
        learner = self.kind.create(self.options(**given), self.task.outputs)
        learner.fit(examples, validation, Fitting(0, Silent(), folder, folder, tell=lambda _, point: told.append(point)))
        return learner, told

    def answers(self, **given: Any) -> NDArray:
        key = repr(sorted(given.items()))
        if key not in self._answers:
            self._answers[key] = np.asarray(self.fit(**given)[0].run(take(self.batch, np.arange(40)))["logits"])
        return self._answers[key]

    def plan(self, **given: Any) -> None:
        self.kind.plan(self.options(**given), self.rows, self.columns, self.task.outputs, Machine.here(), 160)


@pytest.fixture(scope="module", params=LEARNERS)
def case(request: pytest.FixtureRequest, models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, models, lambda: tmp_path_factory.mktemp("run"))


def test_every_key_of_a_regime_is_tried_here() -> None:
    apart = {"patience", "piece", "checkpointing"}
    assert set(OTHER) | apart == set(Regime.model_fields)


@pytest.mark.parametrize("key", OTHER)
def test_another_value_learns_other_weights(case: Case, key: str) -> None:
    before, after = case.answers(**BESIDE.get(key, {})), case.answers(**OTHER[key])
    assert np.isfinite(after).all()
    assert not np.array_equal(before, after)


def test_patience_decides_how_many_epochs_are_tried(case: Case) -> None:
    few, many = (sum(point.validation_loss is not None for point in case.fit(spoilt=True, epochs=5, patience=p)[1]) for p in (1, 4))
    assert few < many <= 5


def test_a_smaller_piece_does_a_step_in_more_pieces(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    backward, times = torch.Tensor.backward, []
    monkeypatch.setattr(torch.Tensor, "backward", lambda self, *rest, **more: times.append(1) or backward(self, *rest, **more))
    counted = []
    for piece in (8192, 64):
        times.clear()
        case.fit(count=160, batch_size=160, epochs=1, piece=piece)
        counted.append(len(times))
    assert counted[0] == 1
    assert counted[1] >= 3


def test_checkpointing_keeps_less_and_learns_the_same_or_is_refused(case: Case) -> None:
    import torch

    given = {"architecture": "ft-transformer"} if case.name == "tabular-network" else {}
    kept = []

    def pack(tensor: Any) -> Any:
        kept[-1] += tensor.numel() * tensor.element_size()
        return tensor

    found = []
    for checkpointing in (False, True):
        kept.append(0)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            learner, _ = case.fit(checkpointing=checkpointing, epochs=1, **given)
        found.append(np.asarray(learner.run(take(case.batch, np.arange(40)))["logits"]))
    case.plan(checkpointing=True, **given)
    assert kept[1] < 0.8 * kept[0]
    assert np.abs(found[1] - found[0]).max() < 1e-4


def test_what_cannot_act_is_refused_before_anything_is_spent(case: Case) -> None:
    with pytest.raises(PlanError, match="ema_decay"):
        case.plan(ema_decay=0.5)
    case.plan(ema_decay=0.5, average="ema")
    refuses = pytest.raises(PlanError, match="checkpointing") if case.name == "tabular-network" else nullcontext()
    with refuses:
        case.plan(checkpointing=True)


def test_the_same_regime_learns_the_same_weights(case: Case) -> None:
    again = np.asarray(case.fit()[0].run(take(case.batch, np.arange(40)))["logits"])
    assert np.array_equal(again, case.answers())
