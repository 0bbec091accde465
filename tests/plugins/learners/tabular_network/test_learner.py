"""A network learns from tables, the same way each time, and every option changes what it learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.errors import ConfigError, DataError, PlanError, RunFailed
from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.statistics import mean_loss
from penjing.core.types import Batch, Link, NDArray, Spec, take
from penjing.plugins.learners.tabular_network.learner import TabularNetwork
from penjing.plugins.learners.tabular_network.options import Options

Fit = Callable[..., TabularNetwork]
BOTH = pytest.mark.parametrize("architecture", ["mlp", "ft-transformer"])
NOTES = ["the kitchen was warm and it smelt of bread", "nobody came to the office", "a long letter arrived", "rain all day"]
ROWS = [{"age": str(20 + i % 40), "job": ["cook", "clerk", "smith", None][i % 4], "note": f"a note that says {i} things"} for i in range(60)]
MACHINE = Machine("x", 2, 8 << 30, False)
OUTPUTS = {"logits": Spec(2, "softmax")}


def logits(learner: TabularNetwork, batch: Batch) -> NDArray:
    found = learner.run(batch)["logits"]
    assert isinstance(found, np.ndarray)
    return found


@BOTH
@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_it_learns_for_every_link(fit: Fit, table: Any, architecture: str, link: Link) -> None:
    learner = fit(link, architecture=architecture, epochs=10)
    held_out = table(200, 9, link)
    assert mean_loss(logits(learner, held_out.inputs), held_out.target, link) < 0.7 * mean_loss(np.zeros((200, 2)), held_out.target, link)


def test_bins_let_a_number_count_within_a_band(fit: Fit, table: Any) -> None:
    """One layer of a few units, too small to bend by itself."""
    held_out = table(300, 9)
    found = logits(fit(layers=1, width=8, epochs=20), held_out.inputs)
    assert (found.argmax(1) == held_out.target).mean() > 0.93


@BOTH
def test_it_learns_from_shares_and_weights(fit: Fit, table: Any, architecture: str) -> None:
    train = table(400, 1)
    wrong = np.arange(400) % 2 == 0
    shares = np.eye(2, dtype=np.float32)[np.where(wrong, 1 - train.target, train.target)] * 0.8 + 0.1
    weighed = Examples(train.inputs, shares, np.where(wrong, 0, 2).astype(np.float32))
    learner = fit(train=weighed, validation=table(100, 2), architecture=architecture, epochs=15)
    held_out = table(200, 9)
    assert (logits(learner, held_out.inputs).argmax(1) == held_out.target).mean() > 0.85


@BOTH
def test_a_code_that_training_did_not_see_is_answered_as_other(fit: Fit, table: Any, architecture: str) -> None:
    learner = fit(architecture=architecture)
    batch = take(table(4, 3).inputs, np.zeros(4, np.int64))
    batch["codes"][:, 0] = [1, 7, 99999, -2]
    found = logits(learner, batch)
    assert np.array_equal(found, found[[0]].repeat(4, axis=0))


def test_a_code_that_training_did_not_see_counts_as_the_others_do_in_the_mean(fit: Fit) -> None:
    net: Any = fit()._net
    vectors = net.coded.tables[0].weight.detach().numpy()
    assert np.array_equal(vectors[0], vectors[1])
    assert np.allclose(vectors[1], vectors[2:].mean(axis=0), atol=0.05)


@BOTH
@pytest.mark.parametrize(("numbers", "codes"), [(0, 2), (3, 0)])
def test_a_table_may_hold_nothing_but_numbers_or_nothing_but_categories(
    fit: Fit, table: Any, tmp_path: Path, architecture: str, numbers: int, codes: int
) -> None:
    train = table(300, 1, numbers=numbers, codes=codes)
    learner = fit(train=train, architecture=architecture, epochs=10)
    assert (logits(learner, train.inputs).argmax(1) == train.target).mean() > 0.9
    engine = plugins.load("engines", learner.export(tmp_path)).open(tmp_path)
    assert np.abs(engine.run(train.inputs)["logits"] - logits(learner, train.inputs)).max() < 1e-4


def test_a_table_without_columns_is_refused(fit: Fit, table: Any) -> None:
    with pytest.raises(DataError, match="no column"):
        fit(train=Examples({"numbers": np.zeros((9, 0), np.float32), "codes": np.zeros((9, 0), np.int32)}, np.zeros(9, np.int64)))


def test_constant_columns_and_missing_values_on_the_way_do_no_harm(fit: Fit, table: Any) -> None:
    train = table(200, 1)
    numbers = np.concatenate([np.asarray(train.inputs["numbers"]), np.full((200, 1), 3, np.float32)], axis=1)
    assert np.isfinite(logits(fit(train=Examples({**train.inputs, "numbers": numbers}, train.target)), {**train.inputs, "numbers": numbers})).all()


@BOTH
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(fit: Fit, tmp_path: Path, architecture: str) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(architecture=architecture, seed=seed).save(tmp_path / name)
    first, second, other = ((tmp_path / name / "net.safetensors").read_bytes() for name in "abc")
    assert first == second
    assert first != other


@BOTH
def test_what_is_saved_opens_to_the_same_answers(fit: Fit, table: Any, tmp_path: Path, architecture: str) -> None:
    learner = fit(architecture=architecture)
    learner.save(tmp_path)
    again = TabularNetwork.open(tmp_path)
    assert (again.options, again.spec, again.output) == (learner.options, learner.spec, learner.output)
    assert np.array_equal(logits(again, table(50, 3).inputs), logits(learner, table(50, 3).inputs))


@BOTH
def test_a_row_is_answered_alike_in_any_company(fit: Fit, table: Any, architecture: str) -> None:
    learner, batch = fit(architecture=architecture), table(30, 3).inputs
    alone = np.concatenate([logits(learner, take(batch, np.array([i]))) for i in range(30)])
    assert np.abs(alone - logits(learner, batch)).max() < 1e-5
    assert logits(learner, take(batch, np.zeros(0, np.int64))).shape == (0, 2)


def test_nothing_learnt_cannot_be_run() -> None:
    with pytest.raises(RunFailed, match="has not learnt yet"):
        TabularNetwork.create(Options(), OUTPUTS).run({})


def test_more_than_one_output_is_refused() -> None:
    outputs = {**OUTPUTS, "more": Spec(1, "identity")}
    with pytest.raises(PlanError, match="gives one array"):
        TabularNetwork.create(Options(), outputs)
    with pytest.raises(PlanError, match="gives one array"):
        TabularNetwork.plan(Options(), ROWS, ["age"], outputs, MACHINE, 60)


def test_a_width_that_attention_cannot_share_out_is_refused() -> None:
    options = Options(architecture="ft-transformer", width=50)
    with pytest.raises(PlanError, match="Set width: 48"):
        TabularNetwork.plan(options, ROWS, ["age", "job"], OUTPUTS, MACHINE, 60)


def test_more_rows_more_epochs_and_attention_cost_more() -> None:
    def seconds(count: int = 100_000, **options: Any) -> float:
        return TabularNetwork.plan(Options(**options), ROWS, ["age", "job"], OUTPUTS, MACHINE, count).seconds

    assert seconds() < seconds(count=1_000_000) < seconds(count=1_000_000, epochs=50)
    assert seconds() < seconds(width=1024)
    assert seconds() < seconds(architecture="ft-transformer")


def test_planning_imports_no_torch() -> None:
    import subprocess
    import sys

    program = (
        "import sys; from penjing.plugins.learners.tabular_network.learner import TabularNetwork as T; from penjing.core.types import Spec;"
        "from penjing.core.machine import Machine;"
        "T.plan(T.Options(), [{'age': '1'}, {'age': '2'}] * 9, ['age'], {'logits': Spec(2, 'softmax')}, Machine.here(), 18);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("architecture", "ft-transformer", marks=pytest.mark.changes("learners.tabular-network.architecture")),
        pytest.param("width", 24, marks=pytest.mark.changes("learners.tabular-network.width")),
        pytest.param("layers", 1, marks=pytest.mark.changes("learners.tabular-network.layers")),
        pytest.param("dropout", 0.5, marks=pytest.mark.changes("learners.tabular-network.dropout")),
        pytest.param("mixup", 1.0, marks=pytest.mark.changes("learners.tabular-network.mixup")),
        pytest.param("epochs", 1, marks=pytest.mark.changes("learners.tabular-network.epochs")),
        pytest.param("learning_rate", 0.001, marks=pytest.mark.changes("learners.tabular-network.learning_rate")),
        pytest.param("batch_size", 64, marks=pytest.mark.changes("learners.tabular-network.batch_size")),
        pytest.param("weight_decay", 0.5, marks=pytest.mark.changes("learners.tabular-network.weight_decay")),
        pytest.param("precision", "bf16", marks=pytest.mark.changes("learners.tabular-network.precision")),
    ],
)
def test_another_value_learns_other_weights(fit: Fit, table: Any, key: str, value: object) -> None:
    batch = table(30, 3).inputs
    assert not np.array_equal(logits(fit(), batch), logits(fit(**{key: value}), batch))


@pytest.mark.changes("learners.tabular-network.patience")
def test_patience_decides_how_long_learning_goes_on_without_gain(fit: Fit, table: Any) -> None:
    """Where nothing can be learnt, the first epochs are the best ones."""
    train = table(100, 1)
    noise = Examples(train.inputs, np.random.default_rng(0).integers(0, 2, 100))
    held_out = table(100, 2)

    def epochs(patience: int) -> int:
        from penjing.core.protocols import Fitting, Silent

        class Notes(Silent):
            last = ""

            def advance(self, done: float, note: str = "") -> None:
                self.last = note or self.last

        notes = Notes()
        learner = TabularNetwork.create(Options(width=16, layers=1, epochs=30, patience=patience, learning_rate=0.05), OUTPUTS)
        learner.fit(noise, held_out, Fitting(0, notes, Path("/nonexistent"), Path("/nonexistent")))
        return int(notes.last.split()[1])

    assert epochs(1) < epochs(6)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("scale", "z", marks=pytest.mark.changes("learners.tabular-network.scale")),
        pytest.param("max_categories", 1, marks=pytest.mark.changes("learners.tabular-network.max_categories")),
        pytest.param("text_features", 8, marks=pytest.mark.changes("learners.tabular-network.text_features")),
    ],
)
def test_the_processor_is_told_how_to_encode(key: str, value: object) -> None:
    kind = plugins.load("processors", "columns")
    jobs = ["cook", "clerk", "smith"]
    rows = [{"age": str(20 + i * i), "job": jobs[i % 3], "note": NOTES[i % 4] + f" and thing {i} of the day"} for i in range(60)]

    def encoded(**options: Any) -> Batch:
        return dict(kind(**kind.options_from(rows, ["age", "job", "note"], Options(**options).resolved())).encode(rows))

    one, other = encoded(), encoded(**{key: value})
    assert any(not np.array_equal(one[name], other[name]) for name in one)


def test_few_rows_are_learnt_in_small_steps() -> None:
    assert [Options().rows_a_step(count) for count in (10, 5_000, 1_000_000)] == [16, 50, 256]
    assert Options(batch_size=7).rows_a_step(5_000) == 7


@pytest.mark.parametrize("wrong", [{"architecture": "cnn"}, {"dropout": 1.0}, {"scale": "none"}, {"width": 3}, {"epochs": 0}])
def test_values_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    from penjing.core.config import check

    with pytest.raises(ConfigError, match=next(iter(wrong))):
        check(Options, wrong, "penjing.yaml")


@pytest.mark.changes("learners.tabular-network.runtime")
@pytest.mark.parametrize("runtime", ["openvino-runtime", "torch-runtime"])
def test_the_runtime_decides_what_is_exported(fit: Fit, table: Any, tmp_path: Path, runtime: str) -> None:
    learner = fit(runtime=runtime)
    engine = plugins.load("engines", learner.export(tmp_path)).open(tmp_path)
    assert plugins.name_of("engines", engine) == runtime
    batch = table(40, 3).inputs
    assert np.abs(engine.run(batch)["logits"] - logits(learner, batch)).max() < 1e-4
    assert [name for name, _ in engine.layers(batch)] == [name for name, _ in learner.layers(batch)]
