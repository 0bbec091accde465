"""The linear tier from rows to answers, through its real processor and engine."""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest

from penjing.core import plugins
from penjing.core.errors import Interrupted, PlanError, RunFailed
from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, HasLayers, Progress, Silent
from penjing.core.types import NDArray, Row, Spec, take
from penjing.plugins.learners.linear.learner import Linear

GOOD, BAD = ["works well", "great relief", "很好 有效", "😀 fine"], ["no help", "terrible pain", "很差 无效", "😡 awful"]
NOISE = ["the", "doctor", "gave", "me", "this", "medicine", "for", "a", "week", "and", "then", "another", "one", "after", "that"]
MACHINE = Machine("test", 2, 8 << 30, False)
OUTPUTS = {"logits": Spec(2, "softmax")}


def reviews(count: int, seed: int = 0) -> tuple[list[Row], NDArray]:
    """Return texts of which each class has words of its own among noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    labels[:2] = [0, 1]
    texts = [" ".join([*rng.choice(NOISE, 8), str(rng.choice(GOOD if label else BAD)), *rng.choice(NOISE, 4)]) for label in labels]
    return [{"text": text} for text in texts], labels


def encoded(rows: list[Row], target: NDArray, **given: Any) -> Examples:
    kind = plugins.load("processors", "ngrams")
    return Examples(kind(**kind.options_from(rows, ["text"], given)).encode(rows), target)


def learnt(train: Examples, validation: Examples | None = None, outputs: Any = OUTPUTS, progress: Progress | None = None, **options: Any) -> Linear:
    learner = Linear.create(Linear.Options(**options), outputs)
    nothing = Examples(*train.batch(np.zeros(0, np.int64)))
    learner.fit(train, nothing if validation is None else validation, Fitting(0, progress or Silent(), Path(), Path()))
    return learner


def logits(learner: Linear, examples: Examples) -> NDArray:
    return np.asarray(learner.run(examples.inputs)["logits"])


TRAIN, TEST = encoded(*reviews(300)), encoded(*reviews(200, 1))


def test_classes_are_learnt() -> None:
    assert (logits(learnt(TRAIN), TEST).argmax(1) == TEST.target).mean() > 0.97


def test_several_labels_are_learnt() -> None:
    rows, good = reviews(300)
    target = np.stack([good, [("doctor" in row["text"]) for row in rows]], axis=1).astype(np.float32)
    learner = learnt(encoded(rows[:200], target[:200]), outputs={"logits": Spec(2, "sigmoid")})
    assert ((logits(learner, encoded(rows[200:], target[200:])) > 0) == target[200:]).mean() > 0.93


def test_a_number_is_learnt() -> None:
    rows, good = reviews(400)
    target = ((good + [row["text"].count("doctor") for row in rows])[:, None]).astype(np.float32)
    target = (target - target.mean()) / target.std()
    learner = learnt(encoded(rows[:300], target[:300]), outputs={"logits": Spec(1, "identity")})
    left = logits(learner, encoded(rows[300:], target[300:])) - target[300:]
    assert np.square(left).mean() < 0.3 * target[300:].var()


@pytest.mark.parametrize("held_out", [0, 60, 600])
def test_a_pupil_learns_the_shares_that_it_is_taught(held_out: int) -> None:
    """Every answer is held to be 80 % sure; a pupil that took it for certain would be surer."""

    def shares(examples: Examples) -> Examples:
        return Examples(examples.inputs, np.where(np.eye(2)[examples.target] > 0, 0.8, 0.2).astype(np.float32))

    validation = Examples(*encoded(*reviews(600, 2)).batch(np.arange(held_out)))
    learner = learnt(shares(encoded(*reviews(2000))), shares(validation) if held_out else validation)
    said = logits(learner, TEST)
    assert (said.argmax(1) == TEST.target).mean() > 0.97
    assert (1 / (1 + np.exp(-np.abs(said[:, 0] - said[:, 1])))).mean() == pytest.approx(0.8, abs=0.03)


def test_probabilities_are_calibrated() -> None:
    """With a quarter of the labels turned round, an honest answer is right three times in four. Five deviations of a mean of 1,000 allowed."""
    rows, labels = reviews(3000)
    turned = np.where(np.random.default_rng(1).random(3000) < 0.25, 1 - labels, labels)
    learner = learnt(encoded(rows[:2000], turned[:2000]))
    chances = 1 / (1 + np.exp(-np.abs(np.subtract(*logits(learner, encoded(rows[2000:], turned[2000:])).T))))
    assert chances.mean() == pytest.approx(0.75, abs=5 * np.sqrt(0.25 * 0.75 / 1000))


@pytest.mark.parametrize("held_out", [0, 1, 2, 600])
def test_any_number_of_validation_rows_will_do(held_out: int) -> None:
    learner = learnt(TRAIN, Examples(*encoded(*reviews(600, 2)).batch(np.arange(held_out))))
    assert (logits(learner, TEST).argmax(1) == TEST.target).mean() > 0.97


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_a_handful_of_rows_will_do(count: int) -> None:
    rows, labels = [{"text": f"{'good' if i % 2 else 'bad'} {NOISE[i]}"} for i in range(10)], np.arange(10) % 2
    learner = learnt(encoded(rows[:count], labels[:count]))
    answers = logits(learner, encoded(rows, labels))
    assert np.isfinite(answers).all()
    assert (answers.argmax(1) == labels).all() == (count > 1)


def test_empty_texts_are_answered_with_the_prior() -> None:
    rows, labels = reviews(300)
    rows = [{"text": ""} if i % 3 == 0 else row for i, row in enumerate(rows)]
    learner = learnt(encoded(rows, labels))
    np.testing.assert_array_equal(logits(learner, encoded([{"text": None}], labels[:1]))[0], learner.engine.bias)


def test_rows_without_any_feature_still_give_a_model() -> None:
    labels = np.array([0, 1, 1, 1] * 10)
    learner = learnt(encoded([{"text": ""}] * 40, labels))
    assert np.exp(logits(learner, TEST))[0] == pytest.approx([0.25, 0.75], abs=0.02)


def test_one_huge_text_is_learnt_from() -> None:
    rows, labels = reviews(60)
    rows[5] = {"text": " ".join(f"word{i % 50_000}" for i in range(1_000_000))}
    train = encoded(rows, labels)
    assert np.isfinite(logits(learnt(train), train)).all()


def test_a_row_alone_gets_the_answer_it_gets_among_others() -> None:
    learner = learnt(TRAIN)
    whole = logits(learner, TEST)
    for i in range(20):
        assert np.array_equal(logits(learner, Examples(take(TEST.inputs, np.array([i])), TEST.target[[i]]))[0], whole[i])


def test_what_is_saved_and_exported_answers_the_same(tmp_path: Path) -> None:
    learner = learnt(TRAIN)
    for folder in ("saved", "exported"):
        (tmp_path / folder).mkdir()
    learner.save(tmp_path / "saved")
    again = Linear.open(tmp_path / "saved")
    engine = plugins.load("engines", again.export(tmp_path / "exported")).open(tmp_path / "exported")
    assert np.array_equal(engine.run(TEST.inputs)["logits"], logits(learner, TEST))
    assert np.array_equal(logits(again, TEST), logits(learner, TEST))
    assert (again.options, again.spec) == (learner.options, learner.spec)


CHILD = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from penjing.core.machine import Machine
Machine.here = classmethod(lambda cls: Machine("test", int(sys.argv[3]), 8 << 30, False))
from test_learner import TRAIN, learnt
learnt(TRAIN).export(Path(sys.argv[2]))
"""


def test_the_bytes_are_the_same_in_another_process_with_another_number_of_threads(tmp_path: Path) -> None:
    for threads in ("1", "5"):
        (tmp_path / threads).mkdir()
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        subprocess.run([sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path / threads), threads], env=environment, check=True)
    assert filecmp.cmp(tmp_path / "1" / "linear.safetensors", tmp_path / "5" / "linear.safetensors", shallow=False)


def test_a_feature_of_one_row_is_left_out_unless_rows_are_few() -> None:
    rows, labels = reviews(300)
    rows[0] = {"text": "unheardof"}
    unheard = encoded([{"text": "unheardof"}], labels[:1], char_ngrams=None)
    for count, known in ((300, False), (60, True)):
        learner = learnt(encoded(rows[:count], labels[:count], char_ngrams=None), char_ngrams=None)
        assert (not np.array_equal(logits(learner, unheard)[0], learner.engine.bias)) == known


def test_an_interrupted_fit_stops_within_an_epoch() -> None:
    class Stops(Silent):
        heard = 0

        def advance(self, done: float, note: str = "") -> None:
            Stops.heard += 1
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Interrupted)):
        learnt(TRAIN, progress=Stops(), epochs=1000)
    assert Stops.heard < 20


def test_progress_ends_at_what_was_promised() -> None:
    class Counts(Silent):
        total = done = 0.0

        def start(self, what: str, total: float) -> None:
            self.total = total

        def advance(self, done: float, note: str = "") -> None:
            self.done += done

    for validation in (None, encoded(*reviews(600, 2))):
        counts = Counts()
        learnt(TRAIN, validation, progress=counts)
        assert counts.done == counts.total > 0


def test_it_can_be_looked_into_step_by_step_as_its_engine_can() -> None:
    learner = learnt(TRAIN)
    assert isinstance(learner, HasLayers)
    steps = [(name, values.tobytes()) for name, values in learner.layers(TEST.inputs)]
    assert steps == [(name, values.tobytes()) for name, values in learner.engine.layers(TEST.inputs)]
    assert len(dict(steps)) > 1


def test_before_fit_it_says_so() -> None:
    with pytest.raises(RunFailed, match="fit first"):
        Linear.create(Linear.Options(), OUTPUTS).run(TEST.inputs)


def test_a_task_with_two_outputs_is_refused_when_planned() -> None:
    with pytest.raises(PlanError, match="asks for 2"):
        Linear.plan(Linear.Options(), reviews(10)[0], ["text"], {"a": OUTPUTS["logits"], "b": OUTPUTS["logits"]}, MACHINE, 10)


def test_a_plan_grows_with_rows_classes_and_length() -> None:
    def plan(count: int = 10_000, width: int = 2, repeat: int = 1, epochs: int = 5) -> tuple[float, int, int]:
        rows = [{"text": " ".join(f"word{k} {NOISE[(i * k) % 8]}" for k in range(20 * repeat))} for i in range(50)]
        e = Linear.plan(Linear.Options(epochs=epochs), rows, ["text"], {"logits": Spec(width, "softmax")}, MACHINE, count)
        return e.seconds, e.memory_bytes, e.disk_bytes

    for larger in (plan(count=100_000), plan(width=500), plan(repeat=10)):
        assert all(a > b for a, b in zip(larger, plan(), strict=True))
    assert plan(epochs=50)[0] > plan()[0]


@pytest.mark.changes("learners.linear.word_ngrams")
def test_word_ngrams_tell_orders_of_words_apart() -> None:
    orders = [{"text": "alpha beta"}, {"text": "beta alpha"}] * 40
    labels = np.array([0, 1] * 40)
    for longest, right in ((1, 0.5), (2, 1.0)):
        options = {"word_ngrams": longest, "char_ngrams": None}
        examples = encoded(orders, labels, **options)
        assert (logits(learnt(examples, **options), examples).argmax(1) == labels).mean() == right


@pytest.mark.changes("learners.linear.char_ngrams")
def test_char_ngrams_know_parts_of_new_words() -> None:
    rows = [{"text": f"{'painful' if i % 2 else 'cheerful'}x{i}"} for i in range(200)]
    labels = np.arange(200) % 2
    for part, more_than, at_most in (((4, 4), 0.95, 1.0), (None, 0.0, 0.6)):
        learner = learnt(encoded(rows[:160], labels[:160], char_ngrams=part), char_ngrams=part)
        right = (logits(learner, encoded(rows[160:], labels[160:], char_ngrams=part)).argmax(1) == labels[160:]).mean()
        assert more_than <= right <= at_most


@pytest.mark.changes("learners.linear.buckets")
def test_fewer_buckets_make_a_smaller_model() -> None:
    rows, labels = reviews(300)
    many, few = (learnt(encoded(rows, labels, buckets=buckets), buckets=buckets).engine for buckets in (1 << 21, 1 << 10))
    assert len(few.weights) < len(many.weights)
    assert few.buckets.max() < 1 << 10 < many.buckets.max()


@pytest.mark.changes("learners.linear.learning_rate")
def test_a_learning_rate_is_used_and_auto_chooses_one() -> None:
    chosen, short, long = (learnt(TRAIN, learning_rate=rate, epochs=1).engine.weights for rate in ("auto", 0.1, 1.0))
    assert not np.array_equal(short, long)
    assert any(np.array_equal(chosen, learnt(TRAIN, learning_rate=rate, epochs=1).engine.weights) for rate in (0.1, 0.3, 1.0))


@pytest.mark.changes("learners.linear.l2")
def test_a_heavier_penalty_is_felt() -> None:
    light, heavy = (learnt(TRAIN, l2=l2, learning_rate=1.0).engine for l2 in (0.0, 0.1))
    assert not np.array_equal(light.weights, heavy.weights)


@pytest.mark.changes("learners.linear.epochs")
def test_more_epochs_bring_the_loss_further_down() -> None:
    from penjing.core.statistics import mean_loss

    losses = [mean_loss(logits(learnt(TRAIN, epochs=epochs, learning_rate=0.1), TRAIN), TRAIN.target, "softmax") for epochs in (1, 10)]
    assert losses[1] < losses[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"char_ngrams": (5, 2)}, "the shortest first"),
        ({"char_ngrams": (1, 3)}, "from 2 to 10"),
        ({"char_ngrams": None, "word_ngrams": 0}, "nothing to learn from"),
        ({"learning_rate": 0}, "a number above 0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=said):
        Linear.Options(**options)
