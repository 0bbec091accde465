"""Networks of every architecture learn texts from nothing, the same way each time, and every option changes what is learnt."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.errors import ConfigError, PlanError, RunFailed
from penjing.core.examples import Examples
from penjing.core.learning.tiers import TierConfig
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Link, NDArray, Spec, take
from penjing.plugins.learners.text_network.learner import TextNetwork
from penjing.plugins.learners.text_network.options import Options
from penjing.plugins.processors.subwords import Subwords

Fit = Callable[..., TextNetwork]
WORDS = ["works", "well", "pain", "no", "help", "relief", "very", "the", "doctor", "gave", "me", "this", "worse", "day"]
ALL = ["transformer", "lstm", "gru", "cnn", "mlp"]
MACHINE, OUTPUTS = Machine("x", 2, 8 << 30, False), {"logits": Spec(2, "softmax")}
ROWS = [{"text": " ".join(WORDS[:9])}] * 40
PROCESSOR = Subwords(**Subwords.options_from([{"text": " ".join([*WORDS, "good", "bad"])}] * 9, ["text"], {"vocabulary": 400, "max_tokens": 16}))


def texts(count: int, seed: int, link: Link = "softmax") -> Examples:
    """Return texts of some words of which one is "good" or "bad", which is the answer."""
    random = np.random.default_rng(seed)
    good = np.arange(count) % 2 == 0
    rows = [list(random.choice(WORDS, random.integers(3, 9))) for _ in range(count)]
    for row, yes in zip(rows, good, strict=True):
        row.insert(int(random.integers(len(row) + 1)), "good" if yes else "bad")
    target = (~good).astype(np.int64) if link == "softmax" else np.stack([good, ~good], axis=1).astype(np.float32)
    return Examples(PROCESSOR.encode([{"text": " ".join(row)} for row in rows]), target)


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    def learnt(
        train: Examples | None = None, seed: int = 0, link: Link = "softmax", unlabelled: Examples | None = None, **options: Any
    ) -> TextNetwork:
        folder = tmp_path_factory.mktemp("run")
        small = {"width": 32, "layers": 1, "epochs": 1, "batch_size": 16, "max_tokens": 16, "dropout": 0.0, "learning_rate": 5e-3, "precision": "f32"}
        given = Options.model_validate({**small, "vocabulary": 400, "pretrain": {"objective": "none"}, **options})
        learner = TextNetwork.create(given, {"logits": Spec(2, link)})
        train = train or texts(64, 1, link)
        fitting = Fitting(seed, Silent(), folder / "checkpoints", folder / "cache", PROCESSOR.names, unlabelled)
        learner.fit(train, texts(32, 2, link), fitting)
        return learner

    return learnt


def logits(learner: Any, examples: Examples) -> NDArray:
    return np.asarray(learner.run(examples.inputs)["logits"])


def changed(fit: Fit, **options: Any) -> bool:
    """Return whether `options` change what the network answers."""
    return not np.array_equal(logits(fit(), texts(8, 3)), logits(fit(**options), texts(8, 3)))


@pytest.mark.parametrize("architecture", ALL)
def test_every_architecture_learns(fit: Fit, architecture: str) -> None:
    learner, held_out = fit(texts(200, 1), architecture=architecture, epochs=8), texts(200, 9)
    assert (logits(learner, held_out).argmax(1) == held_out.target).mean() > 0.9


@pytest.mark.parametrize("link", ["sigmoid", "identity"])
def test_it_learns_yes_and_no_and_numbers_too(fit: Fit, link: Link) -> None:
    learner, held_out = fit(texts(200, 1, link), link=link, epochs=8, architecture="mlp"), texts(200, 9, link)
    assert ((logits(learner, held_out) > (0.5 if link == "identity" else 0)) == (held_out.target > 0.5)).mean() > 0.9


@pytest.mark.parametrize("architecture", ALL)
def test_its_export_answers_the_same(fit: Fit, architecture: str, tmp_path: Path) -> None:
    learner, held_out = fit(architecture=architecture), texts(20, 9)
    engine = plugins.load("engines", learner.export(tmp_path)).open(tmp_path)
    # Two runtimes sum float32 in different orders.
    np.testing.assert_allclose(logits(engine, held_out), logits(learner, held_out), atol=1e-5)
    assert [name for name, _ in engine.layers(held_out.inputs)] == [name for name, _ in learner.layers(held_out.inputs)]


@pytest.mark.changes("learners.text-network.runtime")
@pytest.mark.parametrize(("runtime", "file"), [("onnx-runtime", "model.onnx"), ("torch-runtime", "model.safetensors")])
def test_the_runtime_is_the_one_asked_for(fit: Fit, runtime: str, file: str, tmp_path: Path) -> None:
    learner, held_out = fit(architecture="lstm", runtime=runtime), texts(20, 9)
    assert learner.export(tmp_path) == runtime
    assert (tmp_path / file).is_file()
    np.testing.assert_allclose(logits(plugins.load("engines", runtime).open(tmp_path), held_out), logits(learner, held_out), atol=1e-5)


@pytest.mark.parametrize("architecture", ["transformer", "gru"])
def test_what_is_saved_opens_to_the_same_answers(fit: Fit, architecture: str, tmp_path: Path) -> None:
    learner = fit(architecture=architecture)
    learner.save(tmp_path)
    again = TextNetwork.open(tmp_path)
    assert (again.options, again.outputs) == (learner.options, learner.outputs)
    assert np.array_equal(logits(again, texts(8, 3)), logits(learner, texts(8, 3)))


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(fit: Fit, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(seed=seed, pretrain={"epochs": 1}, dropout=0.2).save(tmp_path / name)
    first, second, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert first == second
    assert first != other


def test_a_row_is_answered_alike_in_any_company(fit: Fit) -> None:
    learner, held_out = fit(architecture="lstm"), texts(9, 3)
    alone = np.concatenate([np.asarray(learner.run(take(held_out.inputs, np.array([i])))["logits"]) for i in range(9)])
    assert np.abs(alone - logits(learner, held_out)).max() < 1e-5


@pytest.mark.changes("learners.text-network.architecture")
def test_the_architecture_is_the_one_asked_for(fit: Fit) -> None:
    found = [logits(fit(architecture=architecture), texts(8, 3)) for architecture in ALL]
    assert len({answers.tobytes() for answers in found}) == len(ALL)


@pytest.mark.changes("learners.text-network.width")
@pytest.mark.changes("learners.text-network.layers")
@pytest.mark.parametrize(("width", "layers"), [(64, 1), (32, 2)])
def test_width_and_layers_are_as_asked(fit: Fit, width: int, layers: int) -> None:
    config = fit(width=width, layers=layers).encoder.body.config
    assert (config.hidden_size, config.num_hidden_layers) == (width, layers)
    assert changed(fit, width=width, layers=layers)


@pytest.mark.changes("learners.text-network.bidirectional")
def test_a_recurrent_network_of_one_direction_sees_nothing_of_what_follows(fit: Fit) -> None:
    both, one = (fit(architecture="gru", bidirectional=two) for two in (True, False))
    assert any("back" in name for name, _ in both.encoder.named_parameters())
    assert not any("back" in name for name, _ in one.encoder.named_parameters())


@pytest.mark.changes("learners.text-network.dropout")
@pytest.mark.parametrize("architecture", ["transformer", "gru"])
def test_dropout_changes_what_is_learnt(fit: Fit, architecture: str) -> None:
    plain, dropped = (logits(fit(architecture=architecture, dropout=dropout, epochs=4), texts(8, 3)) for dropout in (0.0, 0.4))
    assert not np.array_equal(plain, dropped)


@pytest.mark.changes("learners.text-network.pretrain")
@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_pretraining_changes_where_the_task_begins(fit: Fit, objective: str) -> None:
    assert changed(fit, pretrain={"objective": objective, "epochs": 1})


@pytest.mark.changes("learners.text-network.pretrain")
def test_pretraining_reads_texts_without_labels_too(fit: Fit) -> None:
    found = [logits(fit(pretrain={"epochs": 1}, unlabelled=more), texts(8, 3)) for more in (None, texts(40, 7))]
    assert not np.array_equal(*found)


def test_a_vocabulary_that_nobody_names_has_as_many_tokens_as_it_may(tmp_path: Path) -> None:
    learner = TextNetwork.create(Options(pretrain={"objective": "none"}, width=32, vocabulary=500, epochs=1), OUTPUTS)
    learner.fit(texts(16, 1), texts(8, 2), Fitting(0, Silent(), tmp_path / "checkpoints", tmp_path / "cache"))
    assert learner.encoder.body.config.vocab_size == 500


def test_pretraining_that_is_only_half_set_keeps_its_other_defaults() -> None:
    given = TierConfig.parse({"learner": "text-network", "pretrain": {"epochs": 2}}).options.pretrain
    assert (given.objective, given.epochs, given.learning_rate) == ("masked", 2, Options().pretrain.learning_rate)
    with pytest.raises(ConfigError, match="epochs"):
        TierConfig.parse({"learner": "text-network", "pretrain": {"epoch": 2}})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"width": 100}, "Set width: 96"),
        ({"architecture": "lstm", "width": 33}, "Set width: 34, or bidirectional: false"),
        ({"architecture": "cnn", "bidirectional": False}, "is for an lstm or a gru"),
        ({"architecture": "gru", "pretrain": {"objective": "causal"}}, "Set bidirectional: false"),
        ({"architecture": "cnn", "pretrain": {"objective": "causal"}}, "Set architecture: transformer"),
        ({"pretrain": {"objective": "causal", "share": 0.4}}, "pretrain.share is of tokens that are hidden"),
        ({"architecture": "gru", "checkpointing": True}, "Leave checkpointing out"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_change(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PlanError, match=sentence):
        TextNetwork.plan(Options.model_validate(options), ROWS, ["text"], OUTPUTS, MACHINE, 40)


def test_too_few_texts_and_too_many_outputs_are_refused() -> None:
    with pytest.raises(PlanError, match="at least 8 texts, and there are 5"):
        TextNetwork.plan(Options(), ROWS[:5], ["text"], OUTPUTS, MACHINE, 5)
    with pytest.raises(PlanError, match="gives one array"):
        TextNetwork.create(Options(), {**OUTPUTS, "more": Spec(1, "identity")})
    with pytest.raises(RunFailed, match="has not learnt yet"):
        TextNetwork.create(Options(), OUTPUTS).run({})


def test_more_of_anything_costs_more() -> None:
    def cost(count: int = 10_000, **options: Any) -> Any:
        return TextNetwork.plan(Options.model_validate(options), ROWS, ["text"], OUTPUTS, MACHINE, count)

    plain = cost()
    assert plain.seconds < cost(100_000).seconds
    assert cost(pretrain={"objective": "none"}).seconds < plain.seconds < cost(pretrain={"epochs": 40}).seconds
    assert plain.seconds < cost(width=512).seconds
    assert plain.memory_bytes < cost(width=512).memory_bytes
    assert plain.memory_bytes < cost(vocabulary=200_000).memory_bytes
    assert "pre-training" in plain.why


def test_planning_imports_no_torch() -> None:
    program = (
        "import sys; from penjing.plugins.learners.text_network.learner import TextNetwork as T; from penjing.core.types import Spec;"
        "from penjing.core.machine import Machine;"
        "T.plan(T.Options(), [{'text': 'a b'}] * 9, ['text'], {'logits': Spec(2, 'softmax')}, Machine('x', 2, 1 << 33, False), 9);"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_its_weights_come_out_and_go_back(fit: Fit) -> None:
    one, other, held_out = fit(architecture="gru", seed=0), fit(architecture="gru", seed=1), texts(8, 3)
    assert not np.array_equal(logits(one, held_out), logits(other, held_out))
    other.set_weights(one.weights())
    assert np.array_equal(logits(one, held_out), logits(other, held_out))
