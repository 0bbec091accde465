from __future__ import annotations

import pytest

from penjing.core.errors import PlanError
from penjing.training.texts.adapter_targets import learnt, matched, matrices

BERT = {
    "embeddings.word_embeddings.weight": [100, 8],
    "encoder.layer.0.attention.self.query.weight": [8, 8],
    "encoder.layer.0.attention.self.query.bias": [8],
    "encoder.layer.0.attention.self.key.weight": [8, 8],
    "encoder.layer.0.attention.self.value.weight": [8, 8],
    "encoder.layer.0.attention.output.dense.weight": [8, 8],
    "encoder.layer.0.intermediate.dense.weight": [32, 8],
    "encoder.layer.0.output.dense.weight": [8, 32],
    "encoder.layer.0.output.LayerNorm.weight": [8],
    "pooler.dense.weight": [8, 8],
}


def ends(method: str, targets: list[str], shapes: dict[str, list[int]] = BERT) -> list[str]:
    return [name.removeprefix("encoder.layer.0.").removeprefix("layers.0.") for name in matched(matrices(shapes), method, targets)]


@pytest.mark.parametrize(
    ("method", "targets", "found"),
    [
        ("lora", [], ["attention.self.query", "attention.self.value"]),
        ("dora", [], ["attention.self.query", "attention.self.value"]),
        ("ia3", [], ["attention.self.key", "attention.self.value", "output.dense"]),
        ("lora", ["key"], ["attention.self.key"]),
        ("lora", ["attention.output.dense", "query"], ["attention.self.query", "attention.output.dense"]),
        (
            "lora",
            ["all"],
            [
                *("attention.self.query", "attention.self.key", "attention.self.value"),
                *("attention.output.dense", "intermediate.dense", "output.dense"),
            ],
        ),
    ],
)
def test_targets_are_found_by_the_ends_of_their_names(method: str, targets: list[str], found: list[str]) -> None:
    assert ends(method, targets) == found


def test_one_matrix_of_queries_keys_and_values_counts_as_all_of_them() -> None:
    shapes = {"layers.0.attn.Wqkv.weight": [24, 8], "layers.0.attn.Wo.weight": [8, 8], "layers.0.mlp.Wo.weight": [8, 32]}
    assert ends("lora", [], shapes) == ["attn.Wqkv"]
    assert ends("ia3", [], shapes) == ["attn.Wqkv", "mlp.Wo"]


def test_a_word_matches_whole_words_only() -> None:
    shapes = {"layer.0.query.weight": [8, 8], "layer.0.query_global.weight": [8, 8], "layer.0.my_query.weight": [8, 8]}
    assert matched(matrices(shapes), "lora", ["query"]) == ["layer.0.query"]


def test_a_target_that_matches_nothing_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(PlanError, match=r"'q_proj'.*attention\.self\.query, .*intermediate\.dense.*or all"):
        ends("lora", ["query", "q_proj"])


def test_a_model_without_queries_and_values_asks_for_targets() -> None:
    with pytest.raises(PlanError, match=r"query or value.*intermediate\.dense"):
        ends("lora", [], {"encoder.layer.0.intermediate.dense.weight": [32, 8]})


def test_a_model_without_matrices_in_layers_is_refused() -> None:
    with pytest.raises(PlanError, match="tune: full or tune: frozen"):
        ends("lora", ["all"], {"embeddings.weight": [100, 8], "pooler.dense.weight": [8, 8]})


def test_what_is_learnt_is_counted() -> None:
    sizes = matrices(BERT)
    names = ["encoder.layer.0.attention.self.query", "encoder.layer.0.output.dense"]
    assert learnt(sizes, names, "lora", 4) == 4 * (8 + 8) + 4 * (32 + 8)
    assert learnt(sizes, names, "dora", 4) == 4 * (8 + 8) + 8 + 4 * (32 + 8) + 8
    assert learnt(sizes, names, "ia3", 4) == 8 + 32
