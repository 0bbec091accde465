"""The static-embedding tier from rows to answers, through its real processor and engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest

from penjing.core import plugins
from penjing.core.errors import PlanError, RunFailed
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, HasLayers, Progress, Silent
from penjing.core.statistics import mean_loss
from penjing.core.types import NDArray, Row, Spec, take
from penjing.plugins.learners.static_embedding.learner import StaticEmbedding
from penjing.training.losses import scaled

GOOD = ["works", "relief", "great", "calm", "well", "better", "healed", "有", "😀"]
BAD = ["pain", "awful", "worse", "nausea", "useless", "dizzy", "rash", "无", "😡"]
NOISE = ["the", "doctor", "gave", "me", "this", "medicine", "for", "a", "week", "and", "then", "another", "one", "after", "that"]
OUTPUTS = {"logits": Spec(2, "softmax")}


def reviews(count: int, seed: int = 0, known: slice = slice(None)) -> tuple[list[Row], NDArray]:
    """Return texts that each have one telling word, of the `known` ones, among noise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    labels[:2] = [0, 1]
    told = [str(random.choice((GOOD if label else BAD)[known])) for label in labels]
    return [{"text": " ".join([*random.choice(NOISE, 8), word, *random.choice(NOISE, 4)])} for word in told], labels


def encoded(rows: list[Row], target: NDArray) -> Examples:
    return Examples(plugins.load("processors", "words")(["text"]).encode(rows), target)


def learnt(
    train: Examples, validation: Examples | None = None, outputs: Any = OUTPUTS, seed: int = 0, progress: Progress | None = None, **options: Any
) -> StaticEmbedding:
    learner = StaticEmbedding.create(StaticEmbedding.Options(**{"dimensions": 32, **options}), outputs)
    nothing = Examples(*train.batch(np.zeros(0, np.int64)))
    learner.fit(train, nothing if validation is None else validation, Fitting(seed, progress or Silent(), Path(), Path()))
    return learner


def logits(learner: StaticEmbedding, examples: Examples) -> NDArray:
    return np.asarray(learner.run(examples.inputs)["logits"])


def right(learner: StaticEmbedding, examples: Examples) -> float:
    return float((logits(learner, examples).argmax(1) == examples.target).mean())


TRAIN, TEST = encoded(*reviews(400)), encoded(*reviews(200, 1))
HALF, OTHER_HALF = encoded(*reviews(400, 2, slice(0, 5))), encoded(*reviews(200, 3, slice(5, None)))
"""No telling word of the second is in the first."""


@pytest.mark.parametrize("held_out", [0, 1, 200])
def test_classes_are_learnt_with_any_number_of_validation_rows(held_out: int) -> None:
    assert right(learnt(TRAIN, Examples(*encoded(*reviews(200, 4)).batch(np.arange(held_out)))), TEST) > 0.97


def test_several_labels_are_learnt() -> None:
    rows, good = reviews(600)
    target = np.stack([good, ["doctor" in row["text"] for row in rows]], axis=1).astype(np.float32)
    learner = learnt(encoded(rows[:500], target[:500]), outputs={"logits": Spec(2, "sigmoid")})
    assert ((logits(learner, encoded(rows[500:], target[500:])) > 0) == target[500:]).mean() > 0.9


def test_a_number_is_learnt() -> None:
    rows, good = reviews(500)
    target = (good * 2.0 - 1)[:, None].astype(np.float32)
    learner = learnt(encoded(rows[:400], target[:400]), outputs={"logits": Spec(1, "identity")})
    assert np.square(logits(learner, encoded(rows[400:], target[400:])) - target[400:]).mean() < 0.3


def test_probabilities_are_calibrated() -> None:
    """With a quarter of the labels turned round, an honest answer is right three times in four. Five deviations of a mean of 1,000 allowed."""
    rows, labels = reviews(3000)
    turned = np.where(np.random.default_rng(1).random(3000) < 0.25, 1 - labels, labels)
    learner = learnt(encoded(rows[:2000], turned[:2000]))
    chances = 1 / (1 + np.exp(-np.abs(np.subtract(*logits(learner, encoded(rows[2000:], turned[2000:])).T))))
    assert chances.mean() == pytest.approx(0.75, abs=5 * np.sqrt(0.25 * 0.75 / 1000))


@pytest.mark.parametrize("rate", [0.05, 3.0])
def test_answers_are_as_loud_as_held_out_rows_say_however_long_the_steps_were(rate: float) -> None:
    rows, labels = reviews(900)
    examples = encoded(rows, np.where(np.random.default_rng(1).random(900) < 0.3, 1 - labels, labels))
    train, validation = (Examples(*examples.batch(part)) for part in (np.arange(600), np.arange(600, 900)))
    learner = learnt(train, validation, learning_rate=rate, epochs=3)
    bias = learner.engine.bias
    assert scaled(logits(learner, validation) - bias, bias, validation.target, "softmax")[0] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("held_out", [0, 200])
def test_a_pupil_learns_the_shares_that_it_is_taught(held_out: int) -> None:
    """Every answer is held to be 80 % sure; a pupil that took it for certain would be surer."""

    def shares(examples: Examples) -> Examples:
        return Examples(examples.inputs, np.where(np.eye(2)[examples.target] > 0, 0.8, 0.2).astype(np.float32))

    validation = Examples(*encoded(*reviews(200, 2)).batch(np.arange(held_out)))
    said = logits(learner := learnt(shares(encoded(*reviews(2000))), shares(validation) if held_out else validation), TEST)
    assert right(learner, TEST) > 0.97
    assert (1 / (1 + np.exp(-np.abs(said[:, 0] - said[:, 1])))).mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_a_handful_of_rows_will_do(count: int) -> None:
    rows, labels = [{"text": f"{'good' if i % 2 else 'bad'} {NOISE[i]}"} for i in range(10)], np.arange(10) % 2
    assert np.isfinite(logits(learnt(encoded(rows[:count], labels[:count])), encoded(rows, labels))).all()


def test_texts_without_a_known_word_are_answered_with_the_prior() -> None:
    labels = np.array([0, 1, 1, 1] * 100)
    rows = [{"text": f"{(BAD, GOOD)[label][i % 5]} {NOISE[i % 15]}"} for i, label in enumerate(labels)]
    said = np.exp(logits(learnt(encoded(rows, labels)), encoded([{"text": None}, {"text": "unheardof"}, {"text": "!?"}], labels[:3])))
    np.testing.assert_allclose(said, [[0.25, 0.75]] * 3, atol=0.02)


@pytest.mark.parametrize("source", ["learnt", "path"])
def test_rows_without_any_word_still_give_a_model(source: str, vectors_file: Path) -> None:
    learner = learnt(encoded([{"text": ""}] * 40, np.array([0, 1, 1, 1] * 10)), vectors=source if source == "learnt" else f"path:{vectors_file}")
    assert np.exp(logits(learner, TEST))[0] == pytest.approx([0.25, 0.75], abs=0.04)


def test_chinese_is_read_character_by_character() -> None:
    rows = [{"text": f"这药{'很好有效' if i % 2 else '很差无用'}，第{i}天"} for i in range(200)]
    labels = np.arange(200) % 2
    assert right(learnt(encoded(rows[:150], labels[:150])), encoded(rows[150:], labels[150:])) == 1


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
    again = StaticEmbedding.open(tmp_path / "saved")
    engine = plugins.load("engines", again.export(tmp_path / "exported")).open(tmp_path / "exported")
    assert np.array_equal(engine.run(TEST.inputs)["logits"], logits(learner, TEST))
    assert np.array_equal(logits(again, TEST), logits(learner, TEST))
    assert (again.options, again.spec) == (learner.options, learner.spec)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    one, two, other = (learnt(TRAIN, seed=seed).engine.weights.tobytes() for seed in (0, 0, 1))
    assert one == two != other


def test_a_word_of_one_row_is_left_out_unless_rows_are_few() -> None:
    rows, labels = reviews(300)
    rows[0] = {"text": "unheardof"}
    for count, known in ((300, False), (60, True)):
        assert (number_of("unheardof") in learnt(encoded(rows[:count], labels[:count])).engine.buckets) == known


def number_of(word: str) -> int:
    return int(encoded([{"text": word}], np.zeros(1)).inputs["features"].values[0])  # type: ignore[union-attr]


def test_it_can_be_looked_into_step_by_step_as_its_engine_can() -> None:
    learner = learnt(TRAIN)
    assert isinstance(learner, HasLayers)
    steps = [(name, values.tobytes()) for name, values in learner.layers(TEST.inputs)]
    assert steps == [(name, values.tobytes()) for name, values in learner.engine.layers(TEST.inputs)]
    assert len(dict(steps)) > 1


def test_before_fit_it_says_so() -> None:
    with pytest.raises(RunFailed, match="fit first"):
        StaticEmbedding.create(StaticEmbedding.Options(), OUTPUTS).run(TEST.inputs)


def test_more_than_one_output_is_refused() -> None:
    with pytest.raises(PlanError, match="asks for 2: a, b"):
        StaticEmbedding.create(StaticEmbedding.Options(), {"a": OUTPUTS["logits"], "b": OUTPUTS["logits"]})


def test_progress_ends_at_what_was_promised() -> None:
    class Counts(Silent):
        total = done = 0.0

        def start(self, what: str, total: float) -> None:
            self.total += total

        def advance(self, done: float, note: str = "") -> None:
            self.done += done

    for labels in (TRAIN.target, np.random.default_rng(0).integers(0, 2, len(TRAIN))):
        counts = Counts()
        learnt(Examples(TRAIN.inputs, labels), progress=counts, epochs=30, learning_rate=1.0)
        assert counts.done == counts.total == 30


@pytest.mark.changes("learners.static-embedding.vectors")
def test_vectors_of_a_file_know_words_that_training_did_not_see(vectors_file: Path) -> None:
    assert right(learnt(HALF), OTHER_HALF) < 0.7
    assert right(learnt(HALF, vectors=f"path:{vectors_file}"), OTHER_HALF) > 0.9


@pytest.mark.changes("learners.static-embedding.tune")
def test_frozen_vectors_keep_their_likeness_and_full_ones_learn_new_words(vectors_file: Path) -> None:
    rows, labels = reviews(400)
    rows = [{"text": row["text"] + (" zugut" if label else " zuschlecht")} for row, label in zip(rows, labels, strict=True)]
    told = encoded([{"text": "zugut"}, {"text": "zuschlecht"}], np.array([1, 0]))
    for tune, known in (("frozen", False), ("full", True)):
        learner = learnt(encoded(rows, labels), vectors=f"path:{vectors_file}", tune=tune)
        assert (number_of("zugut") in learner.engine.buckets) == known
        assert (right(learner, told) == 1) == known
        assert right(learner, TEST) > 0.95


@pytest.mark.changes("learners.static-embedding.dimensions")
def test_dimensions_bound_how_much_a_vector_can_tell(vectors_file: Path) -> None:
    for options in ({}, {"vectors": f"path:{vectors_file}", "tune": "frozen"}):
        for dimensions in (2, 12):
            weights = learnt(*classes(6), dimensions=dimensions, **options).engine.weights
            assert np.linalg.matrix_rank(weights, tol=1e-4 * np.abs(weights).max()) == min(dimensions, 6)


def classes(count: int) -> tuple[Examples, None, dict[str, Spec]]:
    labels = np.arange(300) % count
    return encoded([{"text": f"{GOOD[label]} {NOISE[i % 15]}"} for i, label in enumerate(labels)], labels), None, {"logits": Spec(count, "softmax")}


@pytest.mark.changes("learners.static-embedding.vocabulary")
def test_the_most_frequent_words_of_the_rows_are_kept_before_those_of_a_file(tmp_path: Path) -> None:
    rows = [{"text": f"often word{i % 120} word{i % 120}"} for i in range(600)]
    (tmp_path / "x.vec").write_text("often 1 0\n" + "".join(f"other{i} 0 {i}\n" for i in range(500)))
    train = encoded(rows, np.arange(600) % 2)
    for most, kept, others in ((100, 100, 0), (300, 300, 179), (1000, 621, 500)):
        found = learnt(train, vectors=f"path:{tmp_path / 'x.vec'}", vocabulary=most).engine.buckets
        assert len(found) == kept
        assert found[0] == number_of("often")
        assert sum(number_of(f"other{i}") in found for i in range(500)) == others


@pytest.mark.changes("learners.static-embedding.epochs")
def test_more_epochs_bring_the_loss_further_down() -> None:
    losses = [mean_loss(logits(learnt(TRAIN, epochs=epochs, learning_rate=0.02), TEST), TEST.target, "softmax") for epochs in (1, 20)]
    assert losses[1] < losses[0]


@pytest.mark.changes("learners.static-embedding.learning_rate")
def test_a_longer_step_is_felt() -> None:
    short, long = (learnt(TRAIN, learning_rate=rate, epochs=1).engine.weights for rate in (1e-4, 0.3))
    assert np.abs(short).mean() < np.abs(long).mean()


@pytest.mark.changes("learners.static-embedding.covered_at_least")
def test_vectors_of_another_language_are_refused_with_the_share_they_cover(vectors_file: Path) -> None:
    rows, labels = [{"text": f"ein schlechtes mittel nummer{i}"} for i in range(99)], np.arange(99) % 2
    rows.append({"text": "the"})
    train, options = encoded(rows, np.append(labels, 0)), {"vectors": f"path:{vectors_file}"}
    with pytest.raises(PlanError, match=r"Only 0\.3% of the words .* lower covered_at_least, now 0\.1"):
        learnt(train, **options)
    learnt(train, **options, covered_at_least=0.001)
    with pytest.raises(PlanError, match=r"Only 0\.0%"):
        learnt(encoded(rows[:-1], labels), **options, covered_at_least=0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vectors": "glove.txt"}, "path:FILE or model:NAME"),
        ({"vectors": "path:"}, "path:FILE or model:NAME"),
        ({"tune": "frozen"}, "nothing to keep frozen"),
        ({"dimensions": 1}, "greater than or equal to 2"),
        ({"learning_rate": 0}, "greater than 0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=said):
        StaticEmbedding.Options(**options)


def test_learning_from_rows_or_a_file_and_planning_import_no_torch() -> None:
    code = "import sys, penjing.plugins.learners.static_embedding.learner; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
