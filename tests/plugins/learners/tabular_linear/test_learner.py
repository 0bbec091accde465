"""The linear tier for tables from rows to answers, through its real processor and engine."""

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
from penjing.core.errors import PlanError, RunFailed
from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, HasLayers, Progress, Silent
from penjing.core.statistics import mean_loss
from penjing.core.types import NDArray, Row, Spec, take
from penjing.plugins.learners.tabular_linear.learner import TabularLinear

COLUMNS = ["age", "hours", "city", "job"]
CITIES, JOBS = np.array(["Rome", "Oslo", "Lima"]), np.array(["cook", "smith", "nurse", "clerk"])
MACHINE = Machine("test", 2, 8 << 30, False)
TWO, VALUE = Spec(2, "softmax"), Spec(1, "identity")


def people(count: int, seed: int = 0) -> tuple[list[Row], NDArray]:
    """Return rows and a score that bends with age, rises with hours, differs by city, and turns round by job and city together."""
    rng = np.random.default_rng(seed)
    age, hours = rng.uniform(18, 80, count).round(1), rng.uniform(0, 60, count).round(1)
    city, job = rng.integers(0, 3, count), rng.integers(0, 4, count)
    unknown = rng.random(count) < 0.1
    of_age = np.where(unknown, 2.0, np.where(age < 30, -1.5, np.cos((age - 45) / 10)))
    score = of_age + hours / 30 - 1 + 0.5 * city - 0.5 + 1.5 * ((city == 0) ^ (job < 2)) - 0.75
    told = zip(np.where(unknown, "", age.astype(str)), hours.astype(str), CITIES[city], JOBS[job], strict=True)
    return [dict(zip(COLUMNS, (str(value) for value in row), strict=True)) for row in told], score


def classes(score: NDArray, seed: int = 0) -> NDArray:
    """Return (n,) classes, 1 with the logistic chance of twice the score."""
    drawn: NDArray = (np.random.default_rng(1000 + seed).random(len(score)) < 1 / (1 + np.exp(-2 * score))).astype(np.int64)
    return drawn


def shares(score: NDArray) -> NDArray:
    """Return (n, 2) float32 chances that `classes` are drawn by."""
    chance = 1 / (1 + np.exp(-2 * score))
    return np.stack([1 - chance, chance], axis=1).astype(np.float32)


def encoder(rows: list[Row], columns: list[str] | None = None, **options: Any) -> Any:
    kind = plugins.load("processors", "columns")
    return kind(**kind.options_from(rows, columns or COLUMNS, TabularLinear.Options(**options).resolved()))


ROWS, SCORE = people(3000)
PROCESSOR = encoder(ROWS)
INPUTS = PROCESSOR.encode(ROWS)
TRAIN = Examples(take(INPUTS, np.arange(1500)), classes(SCORE[:1500]))
WATCHED = Examples(take(INPUTS, np.arange(1500, 2100)), classes(SCORE[1500:2100], 1))
TEST, TRUTH = take(INPUTS, np.arange(2100, 3000)), SCORE[2100:]


def learnt(
    train: Examples = TRAIN,
    validation: Examples | None = WATCHED,
    spec: Spec = TWO,
    processor: Any = PROCESSOR,
    progress: Progress | None = None,
    **options: Any,
) -> TabularLinear:
    learner = TabularLinear.create(TabularLinear.Options(**options), {"logits": spec})
    nothing = Examples(*train.batch(np.zeros(0, np.int64)))
    learner.fit(train, nothing if validation is None else validation, Fitting(0, progress or Silent(), Path(), Path(), names=processor.names))
    return learner


def logits(learner: TabularLinear, inputs: Any = TEST) -> NDArray:
    return np.asarray(learner.run(inputs)["logits"])


def left(learner: TabularLinear) -> float:
    """Return by how many nats a row the mean loss is above that of the true chances."""
    return mean_loss(logits(learner), shares(TRUTH), "softmax") - mean_loss(np.log(shares(TRUTH)), shares(TRUTH), "softmax")


def test_bent_numbers_missing_values_categories_and_a_cross_are_learnt() -> None:
    """1,500 labels come nearer to the true chances than any sum of one column each can."""
    learner = learnt()
    assert (2, 3) in {(int(a), int(b)) for a, b in learner.engine.pairs}, "city and job, after two numbers"
    assert left(learner) < 0.075
    assert left(learnt(Examples(TRAIN.inputs, shares(SCORE[:1500])), crosses=0, l2=0.1)) > 0.1


@pytest.mark.parametrize("held_out", [0, 1, 600])
def test_any_number_of_validation_rows_will_do(held_out: int) -> None:
    assert left(learnt(validation=Examples(*WATCHED.batch(np.arange(held_out))))) < 0.075


def test_a_number_is_learnt() -> None:
    target = ((SCORE - SCORE.mean()) / SCORE.std()).astype(np.float32)[:, None]
    learner = learnt(Examples(TRAIN.inputs, target[:1500]), Examples(WATCHED.inputs, target[1500:2100]), VALUE)
    assert np.square(logits(learner) - target[2100:]).mean() < 0.02


def test_several_classes_are_learnt() -> None:
    def halves(score: NDArray) -> NDArray:
        return np.digitize(score, [-0.5, 0.5])

    learner = learnt(Examples(TRAIN.inputs, halves(SCORE[:1500])), Examples(WATCHED.inputs, halves(SCORE[1500:2100])), Spec(3, "softmax"))
    assert (logits(learner).argmax(1) == halves(TRUTH)).mean() > 0.85


def test_several_labels_are_learnt() -> None:
    target = np.stack([SCORE > 0, ["Rome" in row["city"] for row in ROWS]], axis=1).astype(np.float32)
    learner = learnt(Examples(TRAIN.inputs, target[:1500]), Examples(WATCHED.inputs, target[1500:2100]), Spec(2, "sigmoid"))
    assert ((logits(learner) > 0) == target[2100:]).mean() > 0.93


def test_a_pupil_learns_the_shares_that_it_is_taught() -> None:
    """Shares say more than labels: what is learnt from 1,500 of them is nearer to the truth."""

    validation = Examples(WATCHED.inputs, shares(SCORE[1500:2100]))
    assert left(learnt(Examples(TRAIN.inputs, shares(SCORE[:1500])), validation)) < 0.04


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    """The doubled rows stand in another order, so sums round otherwise."""
    weight = np.random.default_rng(0).integers(1, 3, 1500)
    twice = np.repeat(np.arange(1500), weight)
    given = {"l2": 1.0, "crosses": 0, "bins": 8}
    one = learnt(Examples(TRAIN.inputs, TRAIN.target, weight.astype(np.float32)), **given)
    two = learnt(Examples(take(TRAIN.inputs, twice), TRAIN.target[twice]), **given)
    assert np.array_equal(one.engine.knots, two.engine.knots) or np.abs(one.engine.knots - two.engine.knots).max() < 5
    np.testing.assert_allclose(logits(one), logits(two), atol=0.15)
    assert np.abs(logits(one) - logits(learnt(**given))).mean() > 0.02, "unweighted, something else is learnt"


def test_weights_of_validation_rows_say_what_is_chosen() -> None:
    """Where only rows whose labels are turned round count, nothing that was learnt helps."""
    turned = Examples(WATCHED.inputs, np.where(np.arange(600) < 300, WATCHED.target, 1 - WATCHED.target))
    right, wrong = ((np.arange(600) < 300) ^ way for way in (False, True))
    kept, held = (learnt(validation=Examples(turned.inputs, turned.target, 2 * w.astype(np.float32))) for w in (right, wrong))
    assert np.abs(logits(held)).mean() < 0.95 * np.abs(logits(kept)).mean()
    assert not len(held.engine.pairs)


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_a_handful_of_rows_will_do(count: int) -> None:
    learner = learnt(Examples(*TRAIN.batch(np.arange(count))), None)
    assert np.isfinite(logits(learner)).all()


def test_columns_that_say_nothing_give_the_prior() -> None:
    empty: Any = {"numbers": np.full((400, 1), np.nan, np.float32), "codes": np.zeros((400, 0), np.int32)}
    for inputs in (empty, {**empty, "numbers": np.zeros((400, 0), np.float32)}, {**empty, "numbers": np.full((400, 1), 3, np.float32)}):
        learner = learnt(Examples(inputs, np.arange(400) % 4 // 3), None)
        assert np.exp(logits(learner, inputs))[0, 1] ** 2 == pytest.approx(1 / 3, rel=0.05)


def test_unseen_categories_and_numbers_far_out_are_answered() -> None:
    rows = [{"age": "1e30", "hours": "-1e30", "city": "Atlantis", "job": "diver"}, {"age": "80", "hours": "0", "city": "?", "job": ""}]
    assert np.isfinite(logits(learnt(), PROCESSOR.encode(rows))).all()


def test_a_row_alone_gets_the_answer_it_gets_among_others() -> None:
    learner = learnt()
    whole = logits(learner)
    for i in range(20):
        assert np.array_equal(logits(learner, take(TEST, np.array([i])))[0], whole[i])


def test_what_is_saved_and_exported_answers_the_same(tmp_path: Path) -> None:
    learner = learnt(monotone={"hours": "increasing"})
    for folder in ("saved", "exported"):
        (tmp_path / folder).mkdir()
    learner.save(tmp_path / "saved")
    again = TabularLinear.open(tmp_path / "saved")
    engine = plugins.load("engines", again.export(tmp_path / "exported")).open(tmp_path / "exported")
    assert np.array_equal(engine.run(TEST)["logits"], logits(learner))
    assert np.array_equal(logits(again), logits(learner))
    assert (again.options, again.spec) == (learner.options, learner.spec)


CHILD = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_learner import learnt
learnt(crosses=2, l2=3.0).export(Path(sys.argv[2]))
"""


def test_the_bytes_are_the_same_in_another_process_with_another_number_of_threads(tmp_path: Path) -> None:
    for threads in ("1", "3"):
        (tmp_path / threads).mkdir()
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        subprocess.run([sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path / threads)], env=environment, check=True)
    assert filecmp.cmp(tmp_path / "1" / "additive.safetensors", tmp_path / "3" / "additive.safetensors", shallow=False)


def test_progress_ends_at_what_was_promised() -> None:
    class Counts(Silent):
        total = done = 0.0

        def start(self, what: str, total: float) -> None:
            self.total = total

        def advance(self, done: float, note: str = "") -> None:
            self.done += done

    for validation in (None, WATCHED):
        counts = Counts()
        learnt(validation=validation, progress=counts, l2=1.0, crosses=1)
        assert counts.done == counts.total > 0


def test_it_can_be_looked_into_step_by_step_as_its_engine_can() -> None:
    learner = learnt(crosses=0, l2=1.0)
    assert isinstance(learner, HasLayers)
    steps = [(name, values.tobytes()) for name, values in learner.layers(TEST)]
    assert steps == [(name, values.tobytes()) for name, values in learner.engine.layers(TEST)]


def test_before_fit_it_says_so() -> None:
    with pytest.raises(RunFailed, match="fit first"):
        TabularLinear.create(TabularLinear.Options(), {"logits": TWO}).run(TEST)


def plan(count: int = 10_000, spec: Spec = TWO, columns: int = 4, **options: Any) -> tuple[float, int, int]:
    rows = [row | {f"more{i}": str(k * i % 7) for i in range(columns - 4)} for k, row in enumerate(ROWS[:100])]
    e = TabularLinear.plan(TabularLinear.Options(**options), rows, list(rows[0]), {"logits": spec}, MACHINE, count)
    return e.seconds, e.memory_bytes, e.disk_bytes


def test_a_plan_grows_with_rows_classes_and_columns() -> None:
    for larger in (plan(spec=Spec(50, "softmax")), plan(columns=30)):
        assert all(a > b for a, b in zip(larger, plan(), strict=True))
    assert plan(100_000)[:2] > plan()[:2]
    assert plan(1_000_000)[1] < 1_500_000_000


def test_a_task_with_two_outputs_is_refused_when_planned() -> None:
    with pytest.raises(PlanError, match="asks for 2"):
        TabularLinear.plan(TabularLinear.Options(), ROWS[:10], COLUMNS, {"a": TWO, "b": TWO}, MACHINE, 10)


@pytest.mark.changes("learners.tabular-linear.monotone")
@pytest.mark.parametrize(("direction", "way"), [("increasing", 1), ("decreasing", -1)])
@pytest.mark.parametrize("spec", [TWO, VALUE])
def test_a_monotone_column_never_turns_the_answer_the_other_way(direction: str, way: int, spec: Spec) -> None:
    """Age bends both ways in the data; on a grid of 300 ages and the values of 40 rows, the served answer does not."""
    target = TRAIN.target if spec == TWO else SCORE[:1500, None].astype(np.float32)
    watched = WATCHED if spec == TWO else Examples(WATCHED.inputs, SCORE[1500:2100, None].astype(np.float32))
    learner = learnt(Examples(TRAIN.inputs, target), watched, spec, monotone={"age": direction}, l2=1.0, crosses=2)
    ages = np.linspace(10, 90, 300, dtype=np.float32)
    free = learnt(Examples(TRAIN.inputs, target), None, spec, l2=1.0, crosses=0)
    for one in (learner, free):
        turned = 0
        for i in range(40):
            batch = take(TEST, np.full(300, i))
            np.asarray(batch["numbers"])[:, PROCESSOR.names["numbers"].index("age")] = ages
            turned += int((way * np.diff(logits(one, batch)[:, -1]) < 0).sum())
        assert (turned == 0) == (one is learner)
    assert 0 not in learner.engine.pairs
    assert np.ptp(logits(learner)[:, -1]) > 0.5


def test_what_rises_anyway_is_learnt_as_well_under_a_bound() -> None:
    assert left(learnt(monotone={"hours": "increasing"})) < 0.075


@pytest.mark.parametrize(
    ("name", "spec", "said"),
    [
        ("agee", TWO, "Did you mean 'age'"),
        ("city", TWO, "no number column"),
        ("age", Spec(3, "softmax"), "tells 3 classes apart"),
        ("age", Spec(2, "sigmoid"), "asks for 2 answers"),
    ],
)
def test_a_column_that_cannot_be_monotone_is_refused_when_planned_and_when_learnt(name: str, spec: Spec, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        plan(spec=spec, monotone={name: "increasing"})
    with pytest.raises(PlanError, match=said):
        learnt(spec=spec, monotone={name: "increasing"})


@pytest.mark.changes("learners.tabular-linear.bins")
def test_more_bins_make_more_knots() -> None:
    few, many = (learnt(bins=bins, crosses=0, l2=1.0) for bins in (2, 40))
    assert few.engine.counts.tolist() == [2, 2]
    assert 35 < many.engine.counts.min() <= many.engine.counts.max() <= 40
    assert left(many) < 0.7 * left(few)


@pytest.mark.changes("learners.tabular-linear.crosses")
def test_crosses_say_what_columns_do_not_say_apart() -> None:
    none, one = (learnt(crosses=crosses) for crosses in (0, 1))
    assert (len(none.engine.pairs), len(one.engine.pairs)) == (0, 1)
    assert left(one) < 0.6 * left(none)


@pytest.mark.changes("learners.tabular-linear.l2")
def test_a_heavier_penalty_is_felt() -> None:
    sizes = [np.abs(learnt(crosses=0, l2=l2).engine.values).sum() for l2 in (0.0, 1.0, 100.0, 10_000.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[3] < 0.3 * sizes[1]


@pytest.mark.changes("learners.tabular-linear.iterations")
def test_more_steps_bring_the_loss_further_down() -> None:
    losses = [mean_loss(logits(learnt(crosses=0, l2=1.0, iterations=n), TRAIN.inputs), TRAIN.target, "softmax") for n in (1, 5, 100)]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.changes("learners.tabular-linear.max_categories")
def test_fewer_categories_make_smaller_tables() -> None:
    sizes = []
    for most in (2, 1000):
        processor = encoder(ROWS[:1500], max_categories=most)
        sizes.append(learnt(Examples(processor.encode(ROWS[:1500]), TRAIN.target), None, processor=processor, l2=1.0, crosses=0).engine.sizes)
    assert sizes[0].max() == 4 < sizes[1].max(), "missing, other, and two"


@pytest.mark.changes("learners.tabular-linear.text_features")
def test_words_of_free_text_are_learnt_where_they_have_features() -> None:
    rng = np.random.default_rng(0)
    words = np.array(list("abcdefghijklmnopqr"))
    labels = rng.integers(0, 2, 600)
    rows: list[Row] = [
        {"note": " ".join([*(f"word{w}" for w in rng.permutation(words)[:12]), "happy" if y else "angry"]), "n": str(i)} for i, y in enumerate(labels)
    ]
    right = []
    for features in (0, 64):
        processor = encoder(rows[:400], ["note", "n"], text_features=features)
        learner = learnt(Examples(processor.encode(rows[:400]), labels[:400]), None, processor=processor, text_features=features, crosses=0, l2=1.0)
        right.append((logits(learner, processor.encode(rows[400:])).argmax(1) == labels[400:]).mean())
    assert right[0] < 0.65 < 0.9 < right[1]


@pytest.mark.parametrize(("options", "said"), [({"l2": -1}, "from 0 up"), ({"monotone": {"age": "up"}}, "increasing"), ({"bins": 1}, "greater than")])
def test_impossible_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=said):
        TabularLinear.Options(**options)
