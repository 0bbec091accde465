"""An encoder of the BERT family over texts that lie one after the other, in torch: no cell is computed for padding.

Queries, keys and values are one product; weights stay in float32 and are brought to the number format of products in each pass, so that what
is learnt is learnt in float32. Any other family, and one whose own code computes something else, is read in padded rectangles instead.
Knows no rows, no learning and no files.

Shapes: N tokens of B texts, H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from penjing.core.graphs.batching import rectangle
from penjing.core.types import NDArray, Ragged
from penjing.training.devices import sent, where
from penjing.training.precision import products
from penjing.training.texts.adapters import extra, plain, product, separate
from penjing.training.texts.attention import Attention, Rectangle, rectangles, recurring

_CLOSE = 1e-4
"""Largest difference at which the packed way computes the same as the body's own code, in float32."""
_APART = 16
"""Tokens between two sizes of products, at least."""
_LEVELS = 256
"""Steps in which the share that is left out is counted: a random byte decides."""


class Packed:
    """A body's own weights, asked for by layers. Its answers to a text do not depend on the texts beside it."""

    def __init__(self, body: Any, precision: str, causal: bool = False, dropout: float = 0.0, checkpointing: bool = False) -> None:
        """precision: "f32" or "bf16"; dropout: share left out of what embeddings and layers give, and of attention's weights, in training."""
        self.body, self.causal, self.dropout, self.checkpointing = body, causal, dropout, checkpointing
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.layers, self.hidden = len(body.encoder.layer), int(body.config.hidden_size)
        self.heads: int = body.config.num_attention_heads

    @property
    def device(self) -> Any:
        """Where the body's weights are."""
        return where(self.body)

    def __call__(self, ids: Ragged) -> Any:
        """Return the last hidden states (N, H)."""
        return self.through(self.embedded(ids), ids.lengths)

    def at_depths(self, ids: Ragged, depths: Sequence[int]) -> list[Any]:
        """Return the states (N, H) after each of the `depths`, rising, and at the end."""
        states, ends = [self.embedded(ids)], [0, *depths, self.layers]
        for start, end in pairwise(ends):
            states.append(self.through(states[-1], ids.lengths, start, end))
        return states[1:]

    def embedded(self, ids: Ragged) -> Any:
        """Return what enters the first layer, (N, H) in the format of products."""
        parts = self.body.embeddings
        tokens_N = sent(np.asarray(ids.values, np.int64), self.device)
        first = int(getattr(parts, "padding_idx", None) or 0) + 1 if _counts_from_padding(self.body) else 0
        place_N = sent(np.arange(len(ids.values)) - np.repeat(ids.offsets[:-1], ids.lengths) + first, self.device)
        state_NH = functional.embedding(tokens_N, parts.word_embeddings.weight) + functional.embedding(place_N, parts.position_embeddings.weight)
        if getattr(parts, "token_type_embeddings", None) is not None:
            state_NH = state_NH + parts.token_type_embeddings.weight[0]
        state_NH = _normed(parts.LayerNorm, state_NH).to(self.dtype)
        state_NH = self._dropped(state_NH, self._chance())
        project = getattr(self.body, "embeddings_project", None)
        return state_NH if project is None else product(project, state_NH, self.dtype)

    def through(self, state_NH: Any, lengths: NDArray, start: int = 0, end: int | None = None) -> Any:
        """Return the states (N, H) after the layers `start` + 1 to `end`."""
        layout = rectangles(lengths, self.heads, self.causal, self.dtype, self.device)
        count = len(state_NH)
        state_NH = functional.pad(state_NH, (0, 0, 0, recurring(count, _APART) - count if self.dtype == torch.bfloat16 else 0))
        for layer in self.body.encoder.layer[start:end]:
            seed = self._seed()
            if self.checkpointing and torch.is_grad_enabled():
                state_NH = checkpoint(self._layer, layer, state_NH, layout, seed, use_reentrant=False, preserve_rng_state=False)
            else:
                state_NH = self._layer(layer, state_NH, layout, seed)
        return state_NH[:count]

    def _layer(self, layer: Any, state_NH: Any, layout: list[Rectangle], seed: int | None) -> Any:
        chance, attention = None if seed is None else np.random.Generator(np.random.SFC64(seed)), layer.attention
        mixed_NH = Attention.apply(self._qkv(attention.self, state_NH), layout, self.heads, self._leaves_out(chance))
        mixed_NH = self._dropped(product(attention.output.dense, mixed_NH, self.dtype), chance)
        state_NH = _normed(attention.output.LayerNorm, mixed_NH + state_NH)
        inner = layer.intermediate.intermediate_act_fn(product(layer.intermediate.dense, state_NH, self.dtype))
        return _normed(layer.output.LayerNorm, self._dropped(product(layer.output.dense, inner, self.dtype), chance) + state_NH)

    def _qkv(self, part: Any, state_NH: Any) -> Any:
        linear = [part.query, part.key, part.value]
        if not all(separate(one) for one in linear):
            return torch.cat([product(one, state_NH, self.dtype) for one in linear], dim=1)
        weight = torch.cat([plain(one).weight for one in linear]).to(self.dtype)
        bias = None if plain(part.query).bias is None else torch.cat([plain(one).bias for one in linear]).to(self.dtype)
        found_N3H = functional.linear(state_NH, weight, bias)
        added = [extra(one, state_NH, self.dtype) for one in linear]
        if all(one is None for one in added):
            return found_N3H
        return found_N3H + torch.cat([torch.zeros_like(state_NH) if one is None else one for one in added], dim=1)

    def _seed(self) -> int | None:
        """Draw what decides the chances of a layer; None where there is none. The same when a layer is computed again on the way back."""
        return int(torch.randint(2**62, ()).item()) if self.dropout and torch.is_grad_enabled() else None

    def _chance(self) -> Any:
        seed = self._seed()
        return None if seed is None else np.random.Generator(np.random.SFC64(seed))

    def _dropped(self, values: Any, chance: Any) -> Any:
        return values if chance is None else values * self._left(values.shape, chance)

    def _leaves_out(self, chance: Any) -> Callable[[Any], tuple[Any, Any]] | None:
        def drop(weights: Any) -> tuple[Any, Any]:
            left = self._left(weights.shape, chance)
            return weights * left, left

        return None if chance is None else drop

    def _left(self, shape: Any, chance: Any) -> Any:
        """Return 0 where a value is left out, and elsewhere what keeps the mean: a random byte a value, a tenth of the time of torch's dropout."""
        out = max(1, round(self.dropout * _LEVELS))
        drawn = torch.frombuffer(bytearray(chance.bytes(shape.numel())), dtype=torch.uint8).view(shape)
        return (drawn >= out).to(self.device, self.dtype).mul_(_LEVELS / (_LEVELS - out))


class Padded:
    """A body of any kind, asked in a rectangle: the slow way, for families that Packed does not know."""

    def __init__(self, body: Any, precision: str) -> None:
        self.body, self.precision = body, precision

    def __call__(self, ids: Ragged) -> Any:
        """Return the last hidden states of the real tokens, (N, H)."""
        return self._read(ids, ())[0]

    def at_depths(self, ids: Ragged, depths: Sequence[int]) -> list[Any]:
        """Return the same after each of the `depths`, and at the end."""
        return self._read(ids, depths)

    def _read(self, ids: Ragged, depths: Sequence[int]) -> list[Any]:
        pad = getattr(self.body.config, "pad_token_id", None)
        ids_BT, mask_BT = rectangle(ids, 0 if pad is None else int(pad))
        ids_BT, mask = sent(ids_BT, where(self.body)), sent(mask_BT, where(self.body))
        with products(self.precision):
            told = self.body(input_ids=ids_BT, attention_mask=mask, output_hidden_states=bool(depths))
        found = [*(told.hidden_states[depth] for depth in depths), told.last_hidden_state]
        return [state_BTH[mask.bool()] for state_BTH in found]


def reader(body: Any, precision: str, causal: bool = False, dropout: float = 0.0, checkpointing: bool = False) -> Packed | Padded:
    """Return what makes ids of texts into the last hidden states of their tokens: packed where `body` can be, else padded.

    A padded one is neither causal nor leaves anything out. Raises ValueError where that, or checkpointing, is asked of one.
    """
    if packs(body):
        return Packed(body, precision, causal, dropout, checkpointing)
    if causal or dropout or checkpointing:
        raise ValueError(f"A {type(body).__name__} is read in rectangles, where causal, dropout and checkpointing do nothing.")
    return Padded(body, precision)


def pooled(states_NH: Any, lengths: NDArray) -> Any:
    """Return (B, H) float32: the mean over the tokens of each text."""
    text_N = sent(np.repeat(np.arange(len(lengths)), lengths), states_NH.device)
    nothing_BH = torch.zeros(len(lengths), states_NH.shape[1], device=states_NH.device)
    return nothing_BH.index_add(0, text_N, states_NH.float()) / sent(np.maximum(lengths, 1), states_NH.device).float()[:, None]


def packs(body: Any) -> bool:
    """Return whether the packed way computes what `body` computes: it has the parts, and two short texts come out the same."""
    if not _shaped(body):
        return False
    ids = Ragged.of([np.arange(5, 12) % body.config.vocab_size, np.arange(3, 6) % body.config.vocab_size], np.int32)
    was = body.training
    body.eval()
    try:
        with torch.inference_mode():
            ours_NH, theirs_NH = Packed(body, "f32")(ids), Padded(body, "f32")(ids)
    except (AttributeError, IndexError, RuntimeError, TypeError):
        return False
    finally:
        body.train(was)
    return ours_NH.shape == theirs_NH.shape and bool(torch.allclose(ours_NH, theirs_NH, atol=_CLOSE, rtol=_CLOSE))


def _shaped(body: Any) -> bool:
    """Return whether `body` has the parts that BERT and its relatives have."""
    layers = getattr(getattr(body, "encoder", None), "layer", None)
    if not layers or not hasattr(getattr(body, "embeddings", None), "position_embeddings") or getattr(body.config, "is_decoder", False):
        return False
    return all(hasattr(layers[0], name) for name in ("attention", "intermediate", "output")) and hasattr(layers[0].attention.self, "query")


def _counts_from_padding(body: Any) -> bool:
    """Return whether the first position is numbered one after the padding id, as RoBERTa's is."""
    return getattr(body.embeddings.position_embeddings, "padding_idx", None) is not None


def _normed(norm: Any, values: Any) -> Any:
    return functional.layer_norm(values, norm.normalized_shape, norm.weight.to(values.dtype), norm.bias.to(values.dtype), norm.eps)
