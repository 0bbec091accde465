"""What is found out before anything is spent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from penjing.core.errors import PlanError
from penjing.core.machine import Machine
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.transformer.learner import Transformer
from penjing.plugins.learners.transformer.options import Options
from penjing.plugins.learners.transformer.script import script_of

OUTPUTS = {"logits": Spec(2, "softmax")}
ENGLISH: list[Row] = [{"text": "the doctor gave me good relief"}] * 20
CHINESE: list[Row] = [{"text": "这个药对我的头痛很有效果龘靐齉"}] * 20


def plan(rows: list[Row], model: Path | str, machine: Machine | None = None, count: int = 1000, **options: Any) -> Estimate:
    return Transformer.plan(Options(**{"model": str(model), "max_tokens": 64, **options}), rows, ["text"], OUTPUTS, machine or Machine.here(), count)


def test_the_cost_grows_with_the_rows_and_with_what_is_tuned(tiny_bert: Path) -> None:
    machine = Machine("test", 2, 1 << 34, False)
    few, many = plan(ENGLISH, "all-MiniLM-L6-v2", machine, 1_000), plan(ENGLISH, "all-MiniLM-L6-v2", machine, 100_000)
    full = plan(ENGLISH, "all-MiniLM-L6-v2", machine, 100_000, tune="full")
    assert few.seconds < many.seconds < full.seconds
    assert many.memory_bytes < full.memory_bytes
    assert many.disk_bytes < full.disk_bytes


def test_a_model_that_does_not_know_the_script_is_refused_with_share_and_script(tiny_bert: Path) -> None:
    with pytest.raises(PlanError, match=r"does not know the script.*100%.*Han.*linear tier"):
        plan(CHINESE, tiny_bert)


def test_the_real_model_is_refused_for_chinese_and_taken_for_english() -> None:
    assert plan(ENGLISH, "all-MiniLM-L6-v2").seconds > 0
    with pytest.raises(PlanError, match=r"all-MiniLM-L6-v2.*Han"):
        plan(CHINESE, "all-MiniLM-L6-v2")


@pytest.mark.changes("learners.transformer.unknown_tokens_at_most")
def test_unknown_tokens_at_most_decides(tiny_bert: Path) -> None:
    mixed: list[Row] = [{"text": "good good good 龘靐"}] * 5  # 2 of 14 characters
    assert plan(mixed, tiny_bert).seconds > 0
    with pytest.raises(PlanError, match="14%"):
        plan(mixed, tiny_bert, unknown_tokens_at_most=0.1)


def test_a_long_unknown_word_weighs_more_than_a_short_known_one(tiny_bert: Path) -> None:
    with pytest.raises(PlanError, match=r"7\d%.*Cyrillic"):
        plan([{"text": "good ЭФФЕКТИВНОСТЬ"}] * 3, tiny_bert)


def test_more_tokens_than_positions_are_refused(tiny_bert: Path) -> None:
    with pytest.raises(PlanError, match="reads at most 64 tokens, and max_tokens is 65"):
        plan(ENGLISH, tiny_bert, max_tokens=65)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"vocab_size": 5}, "do not belong together"),
        ({"is_encoder_decoder": True}, "needs a Hugging Face encoder"),
        ({"model_type": None}, "names no model_type"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(tmp_path: Path, tiny_bert: Path, changed: dict[str, Any], said: str) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(tiny_bert, folder)
    described = json.loads((folder / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps({key: value for key, value in described.items() if value is not None}))
    with pytest.raises(PlanError, match=said):
        plan(ENGLISH, folder)


@pytest.mark.parametrize("exits", [[0], [2], [-1], [1, 1], [6, 1]])
def test_exits_that_the_layers_do_not_allow_are_refused(tiny_bert: Path, exits: list[int]) -> None:
    with pytest.raises(PlanError, match=r"which has 2 layers\. Give depths that rise, from 1 to 1, such as exits: \[1\]"):
        plan(ENGLISH, tiny_bert, exits=exits)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"model_type": "distilbert"}, "family 'distilbert', which cannot answer early here; these can: bert"), ({"num_hidden_layers": 1}, "one layer")],
)
def test_exits_of_a_model_that_cannot_have_them_are_refused(tmp_path: Path, tiny_bert: Path, changed: dict[str, Any], said: str) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(tiny_bert, folder)
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | changed))
    assert plan(ENGLISH, folder).seconds > 0
    with pytest.raises(PlanError, match=said):
        plan(ENGLISH, folder, exits=[1])


def test_exits_cost_another_reading_after_fine_tuning_and_their_states_on_disk(tiny_bert: Path) -> None:
    machine = Machine("test", 2, 1 << 34, False)
    without, with_exits = (plan(ENGLISH, "all-MiniLM-L6-v2", machine, 10_000, tune="full", exits=exits) for exits in ([], [2, 4]))
    assert with_exits.disk_bytes - without.disk_bytes == 4 * 384 * 10_000 * 2


def test_a_broken_config_is_named(tmp_path: Path, tiny_bert: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny_bert, folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(PlanError, match=r"config\.json is not valid JSON"):
        plan(ENGLISH, folder)


def test_rows_without_text_can_be_planned(tiny_bert: Path) -> None:
    assert plan([{"text": None}, {}], tiny_bert).seconds > 0
    assert plan([], tiny_bert).seconds > 0


@pytest.mark.parametrize(
    ("character", "script"), [("药", "Han"), ("ж", "Cyrillic"), ("ع", "Arabic"), ("か", "Japanese kana"), ("한", "Hangul"), ("!", "symbols")]
)
def test_scripts_are_called_by_their_names(character: str, script: str) -> None:
    assert script_of(character) == script


def test_how_many_texts_are_cut_is_told_before_anything_is_spent(tiny_bert: Path) -> None:
    rows = [*ENGLISH[:15], *[{"text": "good relief " * 40}] * 5]
    assert "Of 20 texts looked at 5 are longer than max_tokens (32)" in plan(rows, tiny_bert, max_tokens=32).told
    assert plan(ENGLISH, tiny_bert).told == ""
