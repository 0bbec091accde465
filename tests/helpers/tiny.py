"""Bodies of a few small layers with random weights that follow from a seed."""

from __future__ import annotations

from typing import Any

import torch
import transformers

SIZES = {"vocab_size": 50, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 40}
FAMILIES = {
    "bert": lambda sizes: transformers.BertModel(transformers.BertConfig(**sizes)),
    "roberta": lambda sizes: transformers.RobertaModel(transformers.RobertaConfig(**sizes)),
    "electra": lambda sizes: transformers.ElectraModel(transformers.ElectraConfig(**sizes, embedding_size=16)),
}


def body(family: str = "bert", layers: int = 2) -> Any:
    torch.manual_seed(0)
    return FAMILIES[family]({**SIZES, "num_hidden_layers": layers})
