"""One fault of each kind, planted in a real hand-over: parity's limits catch it, and the message leads to the cause."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from penjing.core import plugins
from penjing.core.allowance import Allowance
from penjing.core.difference import first_difference
from penjing.core.errors import GateClosed
from penjing.core.files import read_json, write_json
from penjing.core.handover import compared, rows_of
from penjing.core.learning.tiers import TierConfig
from penjing.core.limits import Limit
from penjing.core.protocols import Silent
from penjing.core.rows import ROW_ID
from penjing.core.snapshot import Snapshot
from penjing.core.tier import Tier, packed, unpacked
from penjing.core.types import Row
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.stages.export import export
from penjing.stages.gate import held
from penjing.stages.train import Conduct, train

WORDS = ["Pain", "Sleep", "Dose", "Night", "Doctor", "Week", "Better", "Tablet", "ache", "none"]
SPLITS = {"train": 60, "validation": 40, "calibration": 0, "test": 0, "unlabelled": 0}


def snapshot(folder: Path, positive: str = "Works well") -> Snapshot:
    """Rows with capital letters, which a tokenizer that no longer lower-cases does not know."""
    random = np.random.default_rng(0)
    task = TextClassification("rating", ["review"], ["negative", "neutral", "positive"])
    said = {"negative": "Terrible harm", "neutral": "Perhaps so", "positive": positive}
    for split, count in SPLITS.items():
        labels = [task.labels[i % 3] for i in range(count)]
        rows: list[Row] = [
            {"review": " ".join([said[label], *random.choice(WORDS, 6)]), "rating": label, ROW_ID: i} for i, label in enumerate(labels, 1)
        ]
        schema = pa.schema([("review", pa.string()), ("rating", pa.string()), (ROW_ID, pa.int64())])
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{split}.parquet")
    described = {"task": packed("tasks", task), "columns": ["review"], "counts": SPLITS, "dropped": {}}
    write_json(folder / "data.json", described)
    return Snapshot.open(folder)


@dataclass
class Handed:
    """A tier that was learnt and exported: both sides of a hand-over."""

    learnt: Path
    exported: Path
    data: Snapshot

    def before(self) -> Tier:
        told = read_json(self.learnt / "learnt.json")
        learner = plugins.load("learners", told["learner"]).open(self.learnt / "learner")
        return Tier(told["name"], unpacked("tasks", told["task"]), unpacked("processors", told["processor"]), learner)

    def judged(self, limits: dict[str, Limit] | None = None, before: Tier | None = None) -> None:
        ours, theirs = Tier.open(self.exported), before or self.before()
        measured = [asdict(m) for m in compared(ours, theirs, self.data, self.exported)]
        where = f"learnt → exported of tier {theirs.name!r}"
        held(measured, where, lambda: first_difference(ours, theirs, rows_of(self.data)), limits or {})

    def refused(self, **others: Any) -> str:
        """Return the line that leads to the cause."""
        with pytest.raises(GateClosed, match=r"^Parity learnt → exported of tier '") as closed:
            self.judged(**others)
        (first,) = [line for line in str(closed.value).splitlines() if line.startswith("First difference: ")]
        assert not any(word in first for word in WORDS), "no text of a row is told"
        return first

    def retold(self, change: Callable[[dict[str, Any]], None]) -> None:
        told = read_json(self.exported / "tier.json")
        change(told)
        write_json(self.exported / "tier.json", told)

    def retokenized(self, change: Callable[[dict[str, Any]], None]) -> None:
        def within(told: dict[str, Any]) -> None:
            tokenizer = json.loads(told["processor"]["options"]["tokenizer"])
            change(tokenizer)
            told["processor"]["options"]["tokenizer"] = json.dumps(tokenizer)

        self.retold(within)


def made(folder: Path, tier: Any, data: Snapshot) -> Handed:
    handed = Handed(folder / "learnt", folder / "exported", data)
    handed.learnt.mkdir(parents=True)
    handed.exported.mkdir()
    train(TierConfig.parse(tier), data, None, Conduct(0, folder / "cache", Silent()), Allowance(), handed.learnt)
    export(handed.learnt, data, handed.exported, Silent())
    return handed


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshot(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data: Snapshot, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Handed]:
    transformer = {"learner": "transformer", "model": f"path:{tiny_model}", "max_tokens": 32, "precision": "f32"}
    folder = tmp_path_factory.mktemp("handed")
    torch = {**transformer, "runtime": "torch-runtime"}
    tiers: dict[str, Any] = {"linear": "linear", "transformer": transformer, "torch": torch, "exits": {**transformer, "exits": [1]}}
    return {name: made(folder / name, tier, data) for name, tier in tiers.items()}


@pytest.fixture
def handed(whole: dict[str, Handed], tmp_path: Path) -> Callable[[str], Handed]:
    def copied(name: str) -> Handed:
        shutil.copytree(whole[name].exported, tmp_path / name)
        return Handed(whole[name].learnt, tmp_path / name, whole[name].data)

    return copied


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the arrays of a safetensors file."""
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    arrays = {name: array.copy() for name, array in load_file(path).items()}
    change(arrays)
    save_file(arrays, path, metadata=header.get("__metadata__"))


def one_weight_of_openvino(side: Handed, name: str) -> None:
    """Change one number of the learnt weight `name` where it stands in the exported graph."""
    weight = load_file(side.learnt / "learner" / "model.safetensors")[name]
    (path,) = [file for file in (side.exported / "engine").glob("*.bin") if weight.tobytes() in file.read_bytes()]
    content = bytearray(path.read_bytes())
    at = content.find(weight.tobytes())
    content[at : at + 4] = np.float32(3.0).tobytes()
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["linear", "transformer", "torch", "exits"])
def test_an_undamaged_hand_over_holds_and_has_no_first_difference(name: str, handed: Callable[[str], Handed]) -> None:
    side = handed(name)
    side.judged()
    assert first_difference(Tier.open(side.exported), side.before(), rows_of(side.data)) is None


def test_one_changed_weight_of_an_exported_encoder_leads_to_its_layer(handed: Callable[[str], Handed]) -> None:
    side = handed("transformer")
    one_weight_of_openvino(side, "encoder.layer.1.intermediate.dense.weight")
    assert "differs first in step 'layer 2'" in side.refused()


def test_a_fault_beyond_an_early_exit_is_told_of_the_whole_and_not_of_the_exit(handed: Callable[[str], Handed]) -> None:
    side = handed("exits")
    one_weight_of_openvino(side, "encoder.layer.1.intermediate.dense.weight")
    ours, theirs = Tier.open(side.exported).members(), side.before().members()
    found = [first_difference(after, before, rows_of(side.data)) for after, before in zip(ours, theirs, strict=True)]
    assert found[0] is None
    assert "differs first in step 'layer 2'" in str(found[1])


def test_one_changed_weight_of_the_embeddings_leads_there(handed: Callable[[str], Handed]) -> None:
    side = handed("torch")
    rewritten(side.exported / "engine" / "model.safetensors", lambda arrays: arrays["embeddings.word_embeddings.weight"].__setitem__((2, 0), 9.0))
    assert "from its first step on, 'embeddings'" in side.refused(), "every text begins with the token that was changed"


def test_one_changed_weight_of_an_exported_linear_tier_leads_to_it(handed: Callable[[str], Handed]) -> None:
    side = handed("linear")
    before = Tier.open(side.exported)  # as sealed and opened again: both sides are engines
    rewritten(side.exported / "engine" / "linear.safetensors", lambda arrays: arrays["weights"].__setitem__((0, 0), 50.0))
    assert "differs first in step 'weighted sums'" in side.refused(before=before)
    assert "differ" in side.refused()


def test_two_swapped_labels_are_named_although_every_output_is_the_same(handed: Callable[[str], Handed]) -> None:
    side = handed("linear")
    side.retold(lambda told: told["task"]["options"].update(labels=["negative", "positive", "neutral"]))
    assert "task text-classification: the labels 'neutral' and 'positive' have changed places" in side.refused()


def test_a_lost_label_is_named(handed: Callable[[str], Handed]) -> None:
    side = handed("linear")
    side.retold(lambda told: told["task"]["options"].update(labels=["negative", "neutral"]))
    assert "'positive' among the labels was there before and is missing after" in side.refused()


def test_lower_casing_that_was_dropped_is_named(handed: Callable[[str], Handed]) -> None:
    side = handed("transformer")
    side.retokenized(lambda tokenizer: tokenizer["normalizer"].update(lowercase=False))
    assert "processor tokens: tokenizer.normalizer.lowercase was true before and is false after" in side.refused()


def test_a_stale_tokenizer_is_named_with_a_token_and_its_numbers(handed: Callable[[str], Handed]) -> None:
    def reordered(tokenizer: dict[str, Any]) -> None:
        words = list(tokenizer["model"]["vocab"])
        tokenizer["model"]["vocab"] = {word: i for i, word in enumerate([*words[:4], *reversed(words[4:])])}

    side = handed("transformer")
    side.retokenized(reordered)
    assert "a stale tokenizer: token 'a' was 4 before and is " in side.refused()


def test_another_tier_in_its_place_is_told_by_its_name(handed: Callable[[str], Handed]) -> None:
    side = handed("transformer")
    shutil.rmtree(side.exported)
    shutil.copytree(handed("linear").exported, side.exported)
    assert "the tier was called 'transformer' before and is called 'linear' after" in side.refused()


def test_another_tier_under_the_same_name_is_told_by_its_weights(handed: Callable[[str], Handed], tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng():
        torch.manual_seed(1)
        BertModel(BertConfig.from_pretrained(tiny_model)).save_pretrained(tmp_path / "other")
    shutil.copy(tiny_model / "tokenizer.json", tmp_path / "other")
    side = handed("torch")
    shutil.copy(tmp_path / "other" / "model.safetensors", side.exported / "engine" / "model.safetensors")
    first = side.refused()
    assert "from its first step on, 'embeddings'" in first
    assert "another model may have taken its place" in first


def test_a_linear_tier_learnt_from_other_rows_is_another(handed: Callable[[str], Handed], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    other = made(tmp_path / "other", "linear", snapshot(tmp_path / "data", positive="Magnificent"))
    side = handed("linear")
    before = Tier.open(side.exported)
    shutil.rmtree(side.exported / "engine")
    shutil.copytree(other.exported / "engine", side.exported / "engine")
    assert "'feature values'" in side.refused(before=before)


def test_rounding_to_bfloat16_is_for_the_limit_to_judge(handed: Callable[[str], Handed]) -> None:
    def rounded(arrays: dict[str, Any]) -> None:
        for name, array in arrays.items():
            if array.dtype == np.float32:
                arrays[name] = (array.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)

    side = handed("torch")
    for name in ("model", "head"):
        rewritten(side.exported / "engine" / f"{name}.safetensors", rounded)
    with pytest.raises(GateClosed, match=r"largest_difference is 0\.\d+ logits on 40 rows: .* above the default limit of at most 0\.001"):
        side.judged()
    side.judged({"largest_difference": Limit(at_most=0.5)})
