"""Ways to tune: what each learns, what it leaves, what it keeps, and that each ends in plain weights that any runtime can take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from kills import Killed, Killer
from penjing.core.errors import ConfigError, PlanError
from penjing.core.learning.tiers import TierConfig
from penjing.core.protocols import Silent
from penjing.core.statistics import mean_loss
from penjing.plugins.learners.transformer import upper
from penjing.plugins.learners.transformer.planning import estimate
from penjing.training import loop
from penjing.training.texts import prefix
from penjing.training.texts.packed import Packed

if TYPE_CHECKING:
    from tests.plugins.learners.transformer.conftest import Fit, Run

NewRun = Callable[..., "Run"]
ADAPTERS = ["lora", "dora", "ia3"]


def body(learner: Any, folder: Path) -> dict[str, Any]:
    learner.save(folder)
    return load_file(folder / "model.safetensors")


def logits(learner: Any, fit: Any) -> Any:
    return learner.run(fit.examples(20, 5).inputs)["logits"]


@pytest.mark.parametrize("tune", ["partial", *ADAPTERS])
def test_each_learns_and_ends_in_plain_weights(deep: Fit, new_run: NewRun, tmp_path: Path, tune: str) -> None:
    options = {"layers": 1} if tune == "partial" else {"learning_rate": 1e-2}
    learner = deep(new_run(), tune=tune, train=120, epochs=4, **options)
    held_out = deep.examples(40, 9)
    assert mean_loss(logits_of(learner, held_out), held_out.target, "softmax") < 0.4 * np.log(2)
    frozen = body(deep(new_run(), tune="frozen", train=120), tmp_path / "frozen")
    learnt = body(learner, tmp_path / "learnt")
    assert learnt.keys() == frozen.keys()
    changed = {name for name in frozen if not np.array_equal(learnt[name], frozen[name])}
    if tune == "partial":
        assert changed
        assert all(name.startswith("encoder.layer.3.") for name in changed)
    else:
        ends = (".key.weight", ".key.bias", ".value.weight", ".value.bias", "layer.") if tune == "ia3" else (".query.weight", ".value.weight")
        assert len(changed) >= 8
        assert all(any(end in name for end in ends) for name in changed)


def logits_of(learner: Any, examples: Any) -> Any:
    return np.asarray(learner.run(examples.inputs)["logits"], np.float64)


@pytest.mark.parametrize("tune", ["partial", *ADAPTERS])
@pytest.mark.parametrize("after", [3, 9])
def test_each_that_is_stopped_ends_with_the_same_bytes(
    deep: Fit, new_run: NewRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tune: str, after: int
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    options = {"tune": tune, "epochs": 2, **({"layers": 2} if tune == "partial" else {})}
    whole = body(deep(new_run(), **options), tmp_path / "whole")
    stopped = new_run(progress=Killer.after(after))
    with pytest.raises(Killed):
        deep(stopped, **options)
    stopped.progress = Silent()
    again = body(deep(stopped, **options), tmp_path / "again")
    assert all(np.array_equal(whole[name], again[name]) for name in whole)


@pytest.mark.parametrize("layers", [1, None])
def test_frozen_layers_are_gone_through_once(deep: Fit, new_run: NewRun, monkeypatch: pytest.MonkeyPatch, layers: int | None) -> None:
    read: list[int] = []
    embedded = Packed.embedded
    monkeypatch.setattr(Packed, "embedded", lambda self, ids: (read.append(len(ids)), embedded(self, ids))[1])
    deep(new_run(), tune="partial", layers=layers, epochs=3)
    # Two short texts see whether the body can be packed, twice; then every text once, whatever the epochs.
    assert sum(read) == 60 + 20 + sum(count for count in read if count == 2)


def test_partial_tuning_is_the_same_with_and_without_kept_states(deep: Fit, new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = logits(deep(new_run(), tune="partial", layers=2, epochs=2), deep)
    monkeypatch.setattr(prefix, "_SPARE", 1 << 60)
    assert np.allclose(logits(deep(new_run(), tune="partial", layers=2, epochs=2), deep), kept, atol=1e-4)


@pytest.mark.changes("learners.transformer.layers")
def test_layers_says_how_many_are_tuned(deep: Fit, new_run: NewRun, tmp_path: Path) -> None:
    frozen = body(deep(new_run(), tune="frozen"), tmp_path / "frozen")
    learnt = body(deep(new_run(), tune="partial", layers=2, epochs=1, learning_rate=3e-3), tmp_path / "two")
    depths = {name.split(".")[2] for name in frozen if name.startswith("encoder.layer") and not np.array_equal(frozen[name], learnt[name])}
    assert depths == {"2", "3"}


def test_layers_are_chosen_by_trials_where_they_are_left_out(deep: Fit, new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Listener(Silent):
        def say(self, sentence: str) -> None:
            said.append(sentence)

    run = new_run(progress=Listener())
    found: list[int] = []
    chosen = upper.chosen
    monkeypatch.setattr(upper, "chosen", lambda *rest: (found.append(chosen(*rest)), found[-1])[1])
    first = logits(deep(run, tune="partial", epochs=1), deep)
    assert found[0] in (1, 2, 3)
    assert any(f"upper {found[0]} of 4 layers" in sentence and "with 3" in sentence for sentence in said)
    said.clear()
    assert np.array_equal(logits(deep(run, tune="partial", epochs=1), deep), first)
    assert not said  # the trials are not done again
    assert deep(new_run(), tune="partial", epochs=1, validation=0)


@pytest.mark.parametrize(
    ("key", "value", "tune"),
    [
        pytest.param("rank", 2, "lora", marks=pytest.mark.changes("learners.transformer.rank")),
        pytest.param("rank", 2, "dora"),
        pytest.param("alpha", 2.0, "lora", marks=pytest.mark.changes("learners.transformer.alpha")),
        pytest.param("targets", ["all"], "lora", marks=pytest.mark.changes("learners.transformer.targets")),
        pytest.param("targets", ["query"], "ia3"),
        pytest.param("dropout", 0.3, "full", marks=pytest.mark.changes("learners.transformer.dropout")),
        pytest.param("dropout", 0.3, "partial"),
        pytest.param("mixup", 0.4, "full", marks=pytest.mark.changes("learners.transformer.mixup")),
        pytest.param("mixup", 0.4, "lora"),
    ],
)
def test_changing_a_key_changes_what_is_learnt(deep: Fit, new_run: NewRun, key: str, value: object, tune: str) -> None:
    # Without validation rows the last epoch is kept, whether it is better or not.
    options = {"tune": tune, "epochs": 1, "validation": 0, **({"layers": 2} if tune == "partial" else {})}
    run = new_run()
    assert not np.array_equal(logits(deep(run, **options), deep), logits(deep(run, **options, **{key: value}), deep))


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"tune": "frozen", "epochs": 5}, "epochs does nothing with tune: frozen"),
        ({"epochs": 5}, "epochs does nothing with tune: frozen"),
        ({"tune": "full", "rank": 4}, "rank does nothing with tune: full"),
        ({"tune": "full", "layers": 2}, "layers does nothing with tune: full"),
        ({"tune": "ia3", "alpha": 2}, "alpha does nothing with tune: ia3"),
        ({"tune": "frozen", "dropout": 0.1}, "dropout does nothing with tune: frozen"),
    ],
)
def test_a_key_that_would_do_nothing_is_refused(given: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        TierConfig.parse({"learner": "transformer", **given})


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"tune": "partial", "layers": 4}, "has 4 layers, and layers is 4"),
        ({"tune": "lora", "targets": ["nothing"]}, "called 'nothing'"),
    ],
)
def test_what_the_model_cannot_do_is_refused_before_anything_is_spent(deep: Fit, given: dict[str, object], word: str) -> None:
    from penjing.core.machine import Machine
    from penjing.core.types import Spec

    rows = [{"text": "good"}] * 8
    with pytest.raises(PlanError, match=word):
        estimate(deep.options(**given), rows, ["text"], {"logits": Spec(2, "softmax")}, Machine.here(), 8)


@pytest.mark.changes("learners.transformer.pretrain")
@pytest.mark.parametrize("objective", ["masked", "causal"])
@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_it_learns_the_language_first_where_that_is_asked_for(deep: Fit, new_run: NewRun, tmp_path: Path, objective: str, tune: str) -> None:
    said: list[str] = []

    class Listener(Silent):
        def say(self, sentence: str) -> None:
            said.append(sentence)

    run = new_run(progress=Listener())
    pretrain = {"objective": objective, "epochs": 1, "learning_rate": 1e-3}
    frozen = body(deep(new_run(), tune="frozen"), tmp_path / "frozen")
    adapted = body(deep(run, tune=tune, pretrain=pretrain, epochs=1), tmp_path / "adapted")
    assert adapted.keys() == frozen.keys()
    assert not np.array_equal(adapted["embeddings.word_embeddings.weight"], frozen["embeddings.word_embeddings.weight"])
    assert any("perplexity" in sentence for sentence in said)


def test_a_tokenizer_without_a_mask_cannot_be_asked_for_what_is_hidden(deep: Fit, tmp_path: Path) -> None:
    import shutil

    from penjing.core.machine import Machine
    from penjing.core.types import Spec

    shutil.copytree(deep.model, tmp_path / "maskless")
    tokenizer = tmp_path / "maskless" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("[MASK]", "[OTHER]"))
    options = deep.options(model=f"path:{tmp_path / 'maskless'}", pretrain={"objective": "masked"})
    with pytest.raises(PlanError, match="no token for what is hidden"):
        estimate(options, [{"text": "good"}] * 8, ["text"], {"logits": Spec(2, "softmax")}, Machine.here(), 8)
