"""Nets over the columns of tables: an MLP and the FT-Transformer. They take what the processor `columns` makes; they know no rows and no files.

A number reaches the MLP as how far it has come through each of its bins, bounded by quantiles of the training rows (piecewise linear encoding,
Gorishniy, Rubachev and Babenko 2022, section 3.2), beside itself. A code that learning did not see is answered as 1, "other".

Shapes: B rows, N numbers, K codes, P bins of all numbers together, D units, T tokens, W width of the output.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from penjing.core.types import NDArray
from penjing.training.nets.net import Net

OTHER = 1
"""The code of a category that is none of the known ones."""
_HEADS = 8


class Mlp(Net):
    """Embeddings, laid side by side, through layers of ReLU and dropout."""

    def __init__(self, numbers: int, codes: Sequence[int], bins: Sequence[int], outputs: int, width: int, layers: int, dropout: float) -> None:
        """numbers: N; codes: of each column, how many codes there are; bins: of each number, how many."""
        super().__init__(numbers=numbers, codes=list(codes), bins=list(bins), outputs=outputs, width=width, layers=layers, dropout=dropout)
        self.binned = Binned(bins) if numbers else None
        self.coded = Coded(codes, [embedding_width(count) for count in codes]) if codes else None
        sizes = [numbers + sum(bins) + sum(embedding_width(count) for count in codes), *[width] * layers]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, outputs)

    def steps(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        columns = []
        if self.binned is not None:
            columns += [batch["numbers"], self.binned(batch["numbers"])]
            yield "bins", columns[-1]
        if self.coded is not None:
            columns.append(torch.cat(self.coded(batch["codes"]), dim=1))
            yield "embeddings", columns[-1]
        values_BD = torch.cat(columns, dim=1)
        for i, layer in enumerate(self.layers):
            values_BD = self.dropout(functional.relu(layer(values_BD)))
            yield f"layer {i + 1}", values_BD
        yield "head", self.head(values_BD)

    def scale_output(self, factor: float) -> None:
        self.head.weight.mul_(factor)
        self.head.bias.mul_(factor)


class FtTransformer(Net):
    """Every column a token, and a Transformer over them (Gorishniy, Rubachev, Khrulkov and Babenko 2021, section 3.3)."""

    def __init__(self, numbers: int, codes: Sequence[int], outputs: int, width: int, layers: int, dropout: float) -> None:
        """numbers: N; codes: of each column, how many codes there are; width: a multiple of 8."""
        super().__init__(numbers=numbers, codes=list(codes), outputs=outputs, width=width, layers=layers, dropout=dropout)
        self.weight = nn.Parameter(_drawn(numbers, width)) if numbers else None
        self.bias = nn.Parameter(_drawn(numbers, width)) if numbers else None
        self.coded = Coded(codes, [width] * len(codes)) if codes else None
        self.code_bias = nn.Parameter(_drawn(len(codes), width)) if codes else None
        self.first = nn.Parameter(_drawn(1, width))
        self.blocks = nn.ModuleList(Block(width, dropout, normed=i > 0) for i in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def steps(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        state_BTD = self._tokens(batch)
        yield "embeddings", state_BTD
        for i, block in enumerate(self.blocks):
            state_BTD = block(state_BTD)
            yield f"layer {i + 1}", state_BTD
        pooled_BD = functional.relu(self.norm(state_BTD[:, 0]))
        yield "pooled", pooled_BD
        yield "head", self.head(pooled_BD)

    def scale_output(self, factor: float) -> None:
        self.head.weight.mul_(factor)
        self.head.bias.mul_(factor)

    def _tokens(self, batch: Mapping[str, Any]) -> Any:
        """Return (B, 1 + N + K, D): the token that is read at the end, then one of each column."""
        found = []
        if self.weight is not None:
            found.append(batch["numbers"][:, :, None] * self.weight + self.bias)
        if self.coded is not None:
            found.append(torch.stack(self.coded(batch["codes"]), dim=1) + self.code_bias)
        return torch.cat([self.first.expand(found[0].shape[0], 1, -1), *found], dim=1)


class Block(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """Attention and a gated layer, each normed before. The very first norm is left out, as in the paper."""

    def __init__(self, width: int, dropout: float, normed: bool) -> None:
        super().__init__()
        inner = width * 4 // 3
        self.rate = dropout
        self.attention_norm = nn.LayerNorm(width) if normed else nn.Identity()
        self.attention, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.gated_norm = nn.LayerNorm(width)
        self.gated, self.down = nn.Linear(width, 2 * inner), nn.Linear(inner, width)

    def forward(self, state_BTD: Any) -> Any:
        state_BTD = state_BTD + self._attended(self.attention_norm(state_BTD))
        gate, values = self.gated(self.gated_norm(state_BTD)).chunk(2, dim=-1)
        inner = functional.dropout(functional.relu(gate) * values, self.rate, self.training)
        return state_BTD + self.down(inner)

    def _attended(self, state_BTD: Any) -> Any:
        shape = (*state_BTD.shape[:2], _HEADS, -1)
        query, key, value = (part.reshape(shape).transpose(1, 2) for part in self.attention(state_BTD).chunk(3, dim=-1))
        rate = self.rate if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=rate)
        return self.out(mixed.transpose(1, 2).reshape(state_BTD.shape))


class Binned(nn.Module):  # type: ignore[misc]
    """Numbers (B, N) → (B, P): how far each has come through each of its bins, from 0 before it to 1 behind it."""

    def __init__(self, bins: Sequence[int]) -> None:
        """bins: of each number, how many."""
        super().__init__()
        self.register_buffer("column", torch.tensor(np.repeat(np.arange(len(bins)), bins), dtype=torch.int64), persistent=False)
        self.register_buffer("low", torch.zeros(sum(bins)))
        self.register_buffer("slope", torch.ones(sum(bins)))

    def set(self, edges: Sequence[NDArray]) -> None:
        """Take the bounds of the bins of each number: one more than there are bins, rising."""
        self.low.copy_(torch.from_numpy(np.concatenate([e[:-1] for e in edges]).astype(np.float32)))
        self.slope.copy_(torch.from_numpy(np.concatenate([1 / np.diff(e) for e in edges]).astype(np.float32)))

    def forward(self, numbers_BN: Any) -> Any:
        return ((numbers_BN[:, self.column] - self.low) * self.slope).clamp(0.0, 1.0)


class Coded(nn.Module):  # type: ignore[misc]
    """Codes (B, K) → the embedding of each, (B, D) every one."""

    def __init__(self, counts: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.counts = list(counts)
        self.tables = nn.ModuleList(nn.Embedding(count, width) for count, width in zip(counts, widths, strict=True))
        for table in self.tables:
            nn.init.uniform_(table.weight, -(table.embedding_dim**-0.5), table.embedding_dim**-0.5)

    def forward(self, codes_BK: Any) -> list[Any]:
        known = torch.tensor(self.counts, dtype=codes_BK.dtype, device=codes_BK.device)
        codes_BK = torch.where((codes_BK >= 0) & (codes_BK < known), codes_BK, OTHER)
        return [table(codes_BK[:, i]) for i, table in enumerate(self.tables)]

    def fill(self, seen: Sequence[NDArray]) -> None:
        """Give every code that learning did not see what those that it saw have in the mean; seen: how often each code was, (count,) each."""
        with torch.no_grad():
            for table, counts in zip(self.tables, seen, strict=True):
                mean_D = torch.from_numpy(counts / max(1, counts.sum())).float() @ table.weight
                table.weight[torch.from_numpy(counts == 0)] = mean_D


def embedding_width(count: int) -> int:
    """Return how many units suit a column of `count` codes: more of them grow slower than codes do (the rule of thumb of fastai)."""
    return min(64, int(1.6 * float(count) ** 0.56 + 0.5))


def edges(numbers_BN: NDArray, bins: int) -> list[NDArray]:
    """Return the bounds of at most `bins` bins of each number; one that is always the same has one bin.

    Quantiles, of which no value counts for more than a bin: where most rows hold a zero, the others are still told apart.
    """
    return [_edges(column, bins) for column in np.asarray(numbers_BN).T]


def _edges(values_B: NDArray, bins: int) -> NDArray:
    values, counts = np.unique(values_B, return_counts=True)
    if len(values) < 2:
        return np.array([0.0, 1.0]) + (values[0] if len(values) else 0.0)
    if len(values) <= bins + 1:
        return values
    counts = np.minimum(counts, len(values_B) / bins)
    passed = np.cumsum(counts) - counts[0]
    return np.unique(np.interp(np.linspace(0, passed[-1], bins + 1), passed, values).astype(np.float32))


def _drawn(count: int, width: int) -> Any:
    bound = 1 / math.sqrt(width)
    return torch.empty(count, width).uniform_(-bound, bound)
