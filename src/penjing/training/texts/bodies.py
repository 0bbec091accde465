"""Bodies of text networks that no library has: embeddings and layers in the form of a Hugging Face model, so that encoders treat them alike.

Importing this module makes `penjing-text` a model type that transformers can open: config.json names numbers and words only, and no code
from a folder is run. A transformer is no body of these; it is a small BERT of the library's own.

Shapes: B texts, T tokens of the longest, H hidden units.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, BertConfig, BertModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from penjing.core.types import Ragged
from penjing.training.quiet import quiet
from penjing.training.texts.layers import Layer
from penjing.training.texts.packed import Padded, reader

HEAD_UNITS = 32
"""Units of each head of attention; the width of a transformer is a multiple of it."""
_INNER = 4
"""Units of a transformer's inner layer for each of its width."""


class TextConfig(PretrainedConfig):  # type: ignore[misc]  # transformers is not typed for mypy here
    model_type = "penjing-text"

    def __init__(
        self,
        architecture: str = "gru",
        vocab_size: int = 260,
        hidden_size: int = 128,
        num_hidden_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        pad_token_id: int = 0,
        **rest: Any,
    ) -> None:
        self.architecture, self.bidirectional, self.dropout = architecture, bidirectional, dropout
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers
        super().__init__(pad_token_id=pad_token_id, **rest)


class TextBody(PreTrainedModel):  # type: ignore[misc]
    config_class = TextConfig

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.words = nn.Embedding(config.vocab_size, width)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config.architecture, width, config.bidirectional, config.dropout) for _ in range(config.num_hidden_layers))
        self.post_init()

    def get_input_embeddings(self) -> Any:
        return self.words

    def _init_weights(self, module: Any) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=_spread(self.config.hidden_size))

    def forward(self, input_ids: Any, attention_mask: Any, output_hidden_states: bool = False) -> Any:
        """Return last_hidden_state (B, T, H) and, when asked for, the states after the embeddings and after each layer."""
        states = [self.dropout(self.norm(self.words(input_ids)))]
        for layer in self.layers:
            states.append(layer(states[-1], attention_mask))
        return BaseModelOutput(last_hidden_state=states[-1], hidden_states=tuple(states) if output_hidden_states else None)


AutoConfig.register(TextConfig.model_type, TextConfig, exist_ok=True)
AutoModel.register(TextConfig, TextBody, exist_ok=True)


class _Stirred(Padded):
    """A TextBody in rectangles: what it leaves out it leaves out while it learns, and not when it is judged."""

    def __init__(self, body: Any, precision: str, leaves_out: bool) -> None:
        super().__init__(body, precision)
        self.leaves_out = leaves_out

    def __call__(self, ids: Ragged) -> Any:
        self.body.train(self.leaves_out and torch.is_grad_enabled())
        found = super().__call__(ids)
        self.body.eval()
        return found


def begun(
    architecture: str, vocabulary: int, width: int, layers: int, positions: int, bidirectional: bool = True, dropout: float = 0.0, seed: int = 0
) -> Any:
    """Return a body with weights drawn by `seed`, in eval mode.

    architecture: transformer (width a multiple of HEAD_UNITS), lstm, gru (an even width where bidirectional), cnn or mlp;
    vocabulary: tokens told apart; positions: the longest text, of a transformer; dropout: of any other, see `reading`.
    """
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if architecture == "transformer":
            sizes = {
                "hidden_size": width,
                "num_attention_heads": width // HEAD_UNITS,
                "intermediate_size": _INNER * width,
                "initializer_range": _spread(width),
            }
            body = BertModel(BertConfig(vocab_size=vocabulary, num_hidden_layers=layers, max_position_embeddings=positions, pad_token_id=0, **sizes))
            for parameter in body.pooler.parameters():
                parameter.requires_grad_(False)  # part of the library's class; nothing asks it
        else:
            body = TextBody(TextConfig(architecture, vocabulary, width, layers, bidirectional, dropout))
    return body.eval()


def _spread(width: int) -> float:
    """Return the standard deviation of weights as they begin: what keeps the size of a state (LeCun et al. 1998, section 4.6).

    BERT's own of 0.02, right for some thousand units, lets a layer of a hundred say next to nothing: masked tokens stay unguessed for long.
    """
    return float(width**-0.5)


def reading(body: Any, precision: str, causal: bool = False, dropout: float = 0.0, checkpointing: bool = False) -> Any:
    """Return `packed.reader` of `body`. A TextBody leaves out what it was made with, or nothing where `dropout` is 0; it is causal by itself
    where it is recurrent and of one direction. Raises ValueError where it cannot be.
    """
    if isinstance(body, TextBody):
        if causal and not (body.config.architecture in ("lstm", "gru") and not body.config.bidirectional):
            raise ValueError(f"A {body.config.architecture} that sees what follows cannot learn to say what follows.")
        return _Stirred(body, precision, dropout > 0)
    return reader(body, precision, causal, dropout, checkpointing)
