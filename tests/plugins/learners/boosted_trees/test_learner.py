"""The boosted-trees tier on encoded columns, through LightGBM and the real engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.errors import PlanError, RunFailed
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, HasLayers, Progress, Silent
from penjing.core.statistics import mean_loss
from penjing.core.types import Batch, NDArray, Spec, take
from penjing.plugins.learners.boosted_trees.learner import BoostedTrees

TWO, FOUR = {"logits": Spec(2, "softmax")}, {"logits": Spec(4, "softmax")}
LABELS, NUMBER = {"logits": Spec(3, "sigmoid")}, {"logits": Spec(1, "identity")}
NAMES = {"numbers": ["age", "hours", "noise"], "codes": ["town", "job"]}


def columns(count: int, seed: int = 0) -> Batch:
    """Return three numbers, one with gaps and many ties, and two codes, one with gaps."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(count, 3)).astype(np.float32)
    numbers[:, 1] = np.round(numbers[:, 1] * 4) / 4
    numbers[random.random(count) < 0.2, 1] = np.nan
    return {"numbers": numbers, "codes": random.integers([2, 0], [42, 8], (count, 2)).astype(np.int32)}


def signal(batch: Batch) -> NDArray:
    numbers, codes = np.asarray(batch["numbers"]), np.asarray(batch["codes"])
    return np.asarray(2 * numbers[:, 0] + np.where(np.isnan(numbers[:, 1]), 2, np.abs(numbers[:, 1])) - 1 + (codes[:, 0] % 3 - 1) * 2)


def classes(batch: Batch, width: int = 2, seed: int = 0) -> NDArray:
    """Return classes that follow the signal with noise, in steps of equal shares."""
    said = signal(batch) + np.random.default_rng(seed).logistic(size=len(batch["numbers"]))
    return np.searchsorted(np.quantile(said, np.arange(1, width) / width), said).astype(np.int64)


def made(count: int, seed: int = 0, width: int = 2) -> Examples:
    batch = columns(count, seed)
    return Examples(batch, classes(batch, width, seed))


def learnt(
    train: Examples, validation: Examples | None = None, outputs: Any = TWO, seed: int = 0, progress: Progress | None = None, **options: Any
) -> BoostedTrees:
    learner = BoostedTrees.create(BoostedTrees.Options(**{"trees": 60, "learning_rate": 0.1, "patience": 20, **options}), outputs)
    nothing = Examples(*train.batch(np.zeros(0, np.int64)))
    fitting = Fitting(seed, progress or Silent(), Path(), Path(), NAMES)
    learner.fit(train, nothing if validation is None else validation, fitting)
    return learner


def logits(learner: BoostedTrees, examples: Examples) -> NDArray:
    return np.asarray(learner.run(examples.inputs)["logits"])


def loss(learner: BoostedTrees, examples: Examples) -> float:
    return float(mean_loss(logits(learner, examples), np.asarray(examples.target), learner.spec.link))


def rounds(learner: BoostedTrees) -> list[int]:
    return [text.count("\nTree=") // len(start) for text, start in zip(learner.engine.ensembles, learner.engine.starts, strict=True)]


TRAIN, JUDGES, TEST = made(1500), made(600, 1), made(1000, 2)
USUAL = learnt(TRAIN, JUDGES)
NOTHING = Examples(*TRAIN.batch(np.zeros(0, np.int64)))
STRANGE = np.array([-np.inf, -1e30, -1e-35, 0.0, 1e-40, 1e-35, 0.25, 1e30, np.inf, np.nan], np.float32)


def test_two_classes_are_learnt() -> None:
    best = -np.log(1 / (1 + np.exp(-np.abs(signal(TEST.inputs))))).mean()
    assert loss(USUAL, TEST) < 0.45 < loss(learnt(TRAIN, JUDGES, trees=1), TEST), f"about {best:.2f} is possible"
    assert 20 < rounds(USUAL)[0] <= 60


@pytest.mark.parametrize("held_out", [0, 3, 600])
def test_any_number_of_validation_rows_will_do(held_out: int) -> None:
    assert loss(learnt(TRAIN, Examples(*JUDGES.batch(np.arange(held_out)))), TEST) < 0.46


@pytest.mark.parametrize("kind", ["two", "four", "shares of two", "shares of four", "labels", "number"])
def test_the_exported_trees_say_the_same_to_the_bit(kind: str, tmp_path: Path) -> None:
    """On rows with gaps, ties with thresholds, infinities, and codes below 0 or unheard of; many together and each alone."""
    outputs = {"two": TWO, "four": FOUR, "labels": LABELS, "number": NUMBER}[kind.removeprefix("shares of ")]
    train = made(800, width=outputs["logits"].width if outputs is not LABELS else 2)
    if kind.startswith("shares"):
        train = Examples(train.inputs, softened(train.target, outputs["logits"].width))
    if kind == "labels":
        train = Examples(train.inputs, np.stack([signal(train.inputs) > at for at in (-1, 0, 2)], axis=1).astype(np.float32))
    if kind == "number":
        train = Examples(train.inputs, signal(train.inputs)[:, None].astype(np.float32))
    learner = learnt(train, outputs=outputs, leaves=40 if kind == "number" else 12, min_rows_in_leaf=3)
    assert min(rounds(learner)) > 5
    engine = plugins.load("engines", learner.export(tmp_path)).open(tmp_path)
    batch, random = columns(600, 7), np.random.default_rng(3)
    asked = learner.engine.exported().threshold.astype(np.float32)
    np.asarray(batch["numbers"])[100:300] = random.choice([*STRANGE, *asked], (200, 3))
    np.asarray(batch["codes"])[200:400] = random.integers(-3, 5000, (200, 2))
    whole = np.asarray(engine.run(batch)["logits"])
    assert whole.dtype == np.float32
    assert whole.shape == (600, outputs["logits"].width)
    assert np.array_equal(whole, learner.run(batch)["logits"])
    for i in range(0, 600, 31):
        alone = take(batch, np.array([i]))
        assert np.array_equal(engine.run(alone)["logits"][0], whole[i])
        assert np.array_equal(learner.run(alone)["logits"][0], whole[i])


def softened(target: NDArray, width: int) -> NDArray:
    return (np.eye(width)[target] * 0.8 + 0.2 / width).astype(np.float32)


@pytest.mark.parametrize(("outputs", "width"), [(TWO, 2), (FOUR, 4)])
def test_a_pupil_learns_the_shares_that_it_is_taught(outputs: Any, width: int) -> None:
    """Every answer is held to be 0.8 and a bit sure; a pupil that took it for certain would be surer."""
    batch = columns(2000)
    target = np.searchsorted(np.linspace(-1, 1, width + 1)[1:-1], np.asarray(batch["numbers"])[:, 0])
    said = np.exp(logits(learnt(Examples(batch, softened(target, width)), outputs=outputs, trees=200), TEST).astype(np.float64))
    assert (said / said.sum(axis=1, keepdims=True)).max(axis=1).mean() == pytest.approx(0.8 + 0.2 / width, abs=0.02)


def test_a_class_with_next_to_no_share_of_a_row_is_not_learnt_from_it() -> None:
    shares = np.tile(np.array([[0.6, 0.4, 0, 0]], np.float32), (1500, 1))
    shares[:, 2] = 9e-4
    one, other = (learnt(Examples(TRAIN.inputs, target), outputs=FOUR, trees=3) for target in (shares, np.where(shares < 1e-3, 0, shares)))
    assert np.array_equal(logits(one, TEST), logits(other, TEST))


@pytest.mark.parametrize("outputs", [TWO, FOUR, NUMBER, LABELS])
def test_a_row_of_weight_two_counts_as_two_rows(outputs: Any) -> None:
    """Trees of two leaves: their counts differ, but not what they learn, up to the rounding of LightGBM's float32 sums."""
    spec = outputs["logits"]
    batch = {"numbers": np.round(np.asarray(columns(600)["numbers"])), "codes": columns(600)["codes"] % 4}  # so that bins do not depend on counts
    target = classes(batch, 4 if spec.width == 4 else 2)
    if spec.link != "softmax":
        target = (np.stack([signal(batch)] * spec.width, axis=1) > 0).astype(np.float32)
    twice = np.arange(600) % 3 == 0
    both = np.concatenate([np.arange(600), np.flatnonzero(twice)])
    options: dict[str, Any] = {"leaves": 2, "trees": 5, "min_rows_in_leaf": 1}
    judges = Examples(take(batch, np.arange(600)), target)
    heavy = learnt(Examples(batch, target, np.where(twice, 2, 1).astype(np.float32)), judges, outputs, **options)
    double = learnt(Examples(take(batch, both), target[both]), judges, outputs, **options)
    light = learnt(Examples(batch, target), judges, outputs, **options)
    apart = np.abs(logits(heavy, TEST) - logits(double, TEST)).mean()
    assert apart < 0.2 * np.abs(logits(heavy, TEST) - logits(light, TEST)).mean()


def test_judges_are_weighed_too() -> None:
    """Half of the judges are told nonsense; weighed next to nothing, they do not end the learning."""
    nonsense = np.where(np.arange(600) < 400, 1 - JUDGES.target, JUDGES.target)
    weight = np.where(np.arange(600) < 400, 1e-3, 1).astype(np.float32)
    assert rounds(learnt(TRAIN, Examples(JUDGES.inputs, nonsense)))[0] < 5
    assert rounds(learnt(TRAIN, Examples(JUDGES.inputs, nonsense, weight)))[0] > 20


@pytest.mark.parametrize("outputs", [TWO, FOUR])
def test_where_every_tree_makes_held_out_rows_worse_the_prior_answers(outputs: Any, tmp_path: Path) -> None:
    learner = learnt(TRAIN, Examples(JUDGES.inputs, 1 - JUDGES.target), outputs)
    assert rounds(learner) == [0]
    count = np.bincount(TRAIN.target, minlength=learner.spec.width) + 0.5
    said = logits(learner, TEST)[:20].astype(np.float64)
    assert np.exp(said) / np.exp(said).sum(axis=1, keepdims=True) == pytest.approx(np.tile(count / count.sum(), (20, 1)))
    learner.export(tmp_path)
    assert np.array_equal(plugins.load("engines", "trees").open(tmp_path).run(TEST.inputs)["logits"], learner.run(TEST.inputs)["logits"])


@pytest.mark.parametrize("outputs", [TWO, FOUR])
def test_a_class_that_no_row_has_is_unlikely_and_not_impossible(outputs: Any) -> None:
    said = logits(learnt(Examples(TRAIN.inputs, np.zeros(1500, np.int64)), outputs=outputs), TEST)
    assert np.isfinite(said).all()
    assert (said.argmax(axis=1) == 0).all()
    assert np.ptp(said, axis=1).max() < 12


@pytest.mark.parametrize("count", [1, 2, 5, 12, 40])
@pytest.mark.parametrize("outputs", [TWO, FOUR])
def test_a_handful_of_rows_will_do(count: int, outputs: Any) -> None:
    assert np.isfinite(logits(learnt(Examples(*TRAIN.batch(np.arange(count))), outputs=outputs), TEST)).all()


@pytest.mark.parametrize("shape", [(0, 0), (2, 0), (0, 2)])
def test_columns_may_be_of_one_kind_constant_or_none(shape: tuple[int, int], tmp_path: Path) -> None:
    batch: Batch = {"numbers": np.zeros((900, shape[0]), np.float32), "codes": np.full((900, shape[1]), 2, np.int32)}
    learner = learnt(Examples(batch, np.arange(900) % 3 // 2))
    assert np.exp(logits(learner, Examples(batch, TRAIN.target))[:, 1]) == pytest.approx(np.full(900, 0.5), abs=0.05)
    learner.export(tmp_path)
    assert np.array_equal(plugins.load("engines", "trees").open(tmp_path).run(batch)["logits"], learner.run(batch)["logits"])


def test_what_is_saved_answers_and_exports_the_same(tmp_path: Path) -> None:
    for folder in ("saved", "one", "two"):
        (tmp_path / folder).mkdir()
    USUAL.save(tmp_path / "saved")
    again = BoostedTrees.open(tmp_path / "saved")
    assert np.array_equal(logits(again, TEST), logits(USUAL, TEST))
    assert (again.options, again.spec) == (USUAL.options, USUAL.spec)
    assert USUAL.export(tmp_path / "one") == again.export(tmp_path / "two") == "trees"
    assert (tmp_path / "one" / "trees.safetensors").read_bytes() == (tmp_path / "two" / "trees.safetensors").read_bytes()


def test_the_same_seed_gives_the_same_trees_and_with_rows_drawn_another_seed_others() -> None:
    one, two, other = (learnt(TRAIN, JUDGES, seed=seed, row_share=0.7, feature_share=0.7).engine.ensembles for seed in (0, 0, 1))
    assert one == two != other


def test_it_can_be_looked_into_step_by_step_as_its_engine_can() -> None:
    learner = learnt(made(600, width=4), outputs=FOUR, trees=80, patience=80, learning_rate=0.02, leaves=4)
    assert isinstance(learner, HasLayers)
    ours = [(name, values.tobytes()) for name, values in learner.layers(TEST.inputs)]
    assert ours == [(name, values.tobytes()) for name, values in learner.engine.exported().layers(TEST.inputs)]
    assert len(ours) == 4 * 2 + 1


def test_before_fit_it_says_so() -> None:
    with pytest.raises(RunFailed, match="fit first"):
        BoostedTrees.create(BoostedTrees.Options(), TWO).run(TEST.inputs)


def test_serving_needs_no_lightgbm(tmp_path: Path) -> None:
    USUAL.export(tmp_path)
    asked = "import sys, pathlib, numpy; from penjing.core import plugins; engine = plugins.load('engines', 'trees').open(pathlib.Path(sys.argv[1]));"
    asked += "engine.run({'numbers': numpy.zeros((1, 3), 'f'), 'codes': numpy.zeros((1, 2), 'i')}); assert 'lightgbm' not in sys.modules"
    subprocess.run([sys.executable, "-c", asked, str(tmp_path)], check=True)


def test_learning_says_nothing_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    learnt(Examples(*TRAIN.batch(np.arange(300))), search=1, trees=3)
    learnt(Examples(TRAIN.inputs, np.zeros(1500, np.int64)), trees=3)
    assert capfd.readouterr() == ("", "")


def test_an_interruption_ends_it_within_a_round() -> None:
    class Stops(Silent):
        told = 0.0

        def advance(self, done: float, note: str = "") -> None:
            self.told += done
            if self.told >= 3:
                raise KeyboardInterrupt

    stops = Stops()
    with pytest.raises(KeyboardInterrupt):
        learnt(TRAIN, JUDGES, progress=stops)
    assert stops.told == 3


class Counts(Silent):
    def __init__(self) -> None:
        self.total = self.done = 0.0
        self.said: list[str] = []

    def start(self, what: str, total: float) -> None:
        self.total += total

    def advance(self, done: float, note: str = "") -> None:
        self.done += done

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.mark.parametrize("validation", [JUDGES, NOTHING])
@pytest.mark.parametrize(
    "target", [TRAIN.target, np.random.default_rng(0).integers(0, 2, 1500), np.zeros(1500, np.int64)], ids=["told", "noise", "one"]
)
def test_progress_ends_at_what_was_promised(validation: Examples, target: NDArray) -> None:
    counts = Counts()
    learnt(Examples(TRAIN.inputs, target), validation, progress=counts, search=1)
    assert counts.done == pytest.approx(counts.total)
    assert counts.total == 60 * (2 if validation is JUDGES else 3)


def test_it_says_where_more_trees_would_be_better() -> None:
    short, long = Counts(), Counts()
    learnt(TRAIN, JUDGES, progress=short, trees=5)
    learnt(TRAIN, JUDGES, progress=long, trees=300, patience=5, learning_rate=0.5)
    assert "larger 'trees'" in short.said[0]
    assert not long.said


def test_more_than_one_output_is_refused() -> None:
    with pytest.raises(PlanError, match="asks for 2: a, b"):
        BoostedTrees.create(BoostedTrees.Options(), {"a": TWO["logits"], "b": TWO["logits"]})
