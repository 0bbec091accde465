"""Attention inside each of many texts that lie one after the other without padding, in torch, with its own way back.

Texts of about the same length are brought into one rectangle, only for the products of attention; what a rectangle pads is masked. Queries,
keys and values are fetched from where they lie in one copy, and what comes back is put there in one: rows of a head's units, by index.

Shapes: N tokens of all texts, H hidden units, A heads, D = H / A units of a head, R texts of a rectangle, T its tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from penjing.core.types import NDArray
from penjing.training.devices import sent

_SLACK, _NEAR = 1.15, 8
"""Texts share a rectangle whose lengths differ by less than this factor, or by so many tokens."""
_CELLS = 2_000_000
"""Of a rectangle's products, R x A x T x T: in bfloat16 they stay in a processor's last cache."""
_APART = 8
"""Tokens between two sizes of a rectangle in bfloat16, at least."""
_NEVER = -1e4
"""What is added before the softmax where nothing may be seen; small enough for bfloat16 to give exactly 0."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Where R texts lie. Indices are of rows of D units; row N of what comes out catches what is padding."""

    texts: int
    tokens: int
    real: int
    """Of them that are of its texts, and no padding."""
    fetch_qkv: Any
    """(3 x R x A x T,): of queries, keys and values, from (N x 3 x A, D)."""
    store_qkv: Any
    fetch: Any
    """(R x A x T,): of what attention gives, from (N x A, D)."""
    store: Any
    mask: Any
    """(R x A, 1 or T, T) to be added to the products, or None."""
    padding: Any
    """(P,) rows of a fetched (R x A x T, D) that stand for nothing, or None."""


def rectangles(lengths: NDArray, heads: int, causal: bool, dtype: Any, device: Any) -> list[Rectangle]:
    """Return the rectangles of texts of these lengths, (B,), that lie one after the other. Every text stands in exactly one."""
    starts, total = np.concatenate([[0], np.cumsum(lengths)]), int(lengths.sum())
    return [_rectangle(starts[texts], lengths[texts], total, heads, causal, dtype, device) for texts in _alike(lengths, heads)]


def recurring(count: int, apart: int) -> int:
    """Return `count` or a little more, so that few sizes occur: they are `apart` from each other, and at most a 32nd.

    The kernels for products in bfloat16 are compiled for each size and kept: half a millisecond and 0.6 MB each, and of texts as they come every step
    has new ones.
    """
    apart = max(apart, 1 << max(0, count.bit_length() - 6))
    return count + -count % apart


def _few(count: int) -> int:
    """Return `count` or more, so that few numbers of texts occur: powers of two, and what lies halfway between them."""
    power = 1 << (count - 1).bit_length()
    return power * 3 // 4 if power >= 4 and count <= power * 3 // 4 else power


def _alike(lengths: NDArray, heads: int) -> Iterator[NDArray]:
    """Yield the numbers of texts that share a rectangle, the longest first."""
    order = np.argsort(lengths, kind="stable")
    end, empty = len(order), int((lengths == 0).sum())
    while end > empty:
        longest = int(lengths[order[end - 1]])
        room = max(1, _CELLS // (heads * longest * longest))
        start = end - 1
        while start > max(empty, end - room) and (lengths[order[start - 1]] * _SLACK >= longest or longest - lengths[order[start - 1]] <= _NEAR):
            start -= 1
        yield order[start:end]
        end = start


def _rectangle(starts: NDArray, lengths: NDArray, total: int, heads: int, causal: bool, dtype: Any, device: Any) -> Rectangle:
    if dtype == torch.bfloat16:
        tokens = recurring(int(lengths.max()), _APART)
        more = _few(len(lengths)) - len(lengths)  # texts of no tokens
        starts, lengths = np.pad(starts, (0, more)), np.pad(lengths, (0, more))
    else:
        tokens = int(lengths.max())
    place = np.arange(tokens)
    real_RT = place < lengths[:, None]
    from_RT = starts[:, None] + np.minimum(place, np.maximum(lengths, 1)[:, None] - 1)
    into_RT = np.where(real_RT, from_RT, total)
    padding = None
    if not real_RT.all():
        padding = sent(np.flatnonzero(np.broadcast_to(~real_RT[:, None, :], (len(lengths), heads, tokens))), device)
    mask = _mask(real_RT, heads, causal, dtype, device)
    fetch_qkv, store_qkv, fetch, store = (sent(_rows(tokens_RT, parts, heads), device) for parts in (3, 1) for tokens_RT in (from_RT, into_RT))
    return Rectangle(len(lengths), tokens, int(lengths.sum()), fetch_qkv, store_qkv, fetch, store, mask, padding)


def _rows(tokens_RT: NDArray, parts: int, heads: int) -> NDArray:
    """Return (parts x R x A x T,) rows of D units, of tokens that have `parts` x A of them each."""
    part, head = np.arange(parts)[:, None, None, None], np.arange(heads)[None, None, :, None]
    rows: NDArray = ((tokens_RT[None, :, None, :] * parts + part) * heads + head).reshape(-1)
    return rows


def _mask(real_RT: NDArray, heads: int, causal: bool, dtype: Any, device: Any) -> Any:
    texts, tokens = real_RT.shape
    hidden_R1T = ~real_RT[:, None, :]
    if causal:
        hidden_R1T = hidden_R1T | np.triu(np.ones((tokens, tokens), bool), 1)
    if not hidden_R1T.any():
        return None
    mask = torch.zeros(hidden_R1T.shape, dtype=dtype, device=device).masked_fill_(sent(hidden_R1T, device), _NEVER)
    return mask[:, None].expand(-1, heads, -1, -1).reshape(texts * heads, -1, tokens)


def _tokens(layout: Sequence[Rectangle]) -> int:
    """Return how many tokens all texts have."""
    return sum(part.real for part in layout)


class Attention(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed for mypy here
    """Queries, keys and values (N, 3H) → what attention gives (N, H); zero for tokens after those of the layout, which belong to no text."""

    @staticmethod
    def forward(ctx: Any, qkv_N3H: Any, layout: Sequence[Rectangle], heads: int, drop: Any) -> Any:
        """drop: weights of a shape → those weights with some left out and which, or None."""
        count, units = qkv_N3H.shape[0], qkv_N3H.shape[1] // 3 // heads
        rows, nothing = qkv_N3H.view(-1, units), qkv_N3H.new_zeros(1, 1, 1)
        given = qkv_N3H.new_empty(count + 1, heads * units)
        kept = []
        for part in layout:
            qkv = rows.index_select(0, part.fetch_qkv).view(3, part.texts * heads, part.tokens, units)
            products = torch.baddbmm(nothing if part.mask is None else part.mask, qkv[0], qkv[1].mT, beta=part.mask is not None, alpha=units**-0.5)
            weights = torch.softmax(products, -1)
            del products
            dropped, left = (weights, None) if drop is None else drop(weights)
            given.view(-1, units).index_copy_(0, part.store, torch.bmm(dropped, qkv[2]).view(-1, units))
            kept.append((qkv, weights, left))
        given[_tokens(layout) : count] = 0
        ctx.kept, ctx.layout, ctx.heads = kept, layout, heads
        return given[:count]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient_NH,) = gradients
        heads = ctx.heads
        count, units = gradient_NH.shape[0], gradient_NH.shape[1] // heads
        scale = units**-0.5
        found = gradient_NH.new_empty(count + 1, 3 * heads * units)
        rows = gradient_NH.reshape(-1, units)
        for part, (qkv, weights, left) in zip(ctx.layout, ctx.kept, strict=True):
            gradient = rows.index_select(0, part.fetch)
            if part.padding is not None:
                gradient.index_fill_(0, part.padding, 0)
            gradient = gradient.view(part.texts * heads, part.tokens, units)
            by_qkv = torch.empty_like(qkv)
            torch.bmm((weights if left is None else weights * left).mT, gradient, out=by_qkv[2])
            by_weights = torch.bmm(gradient, qkv[2].mT)
            if left is not None:
                by_weights.mul_(left)
            by_products = torch.ops.aten._softmax_backward_data(by_weights, weights, -1, weights.dtype)
            torch.baddbmm(by_qkv[0], by_products, qkv[1], beta=0, alpha=scale, out=by_qkv[0])
            torch.baddbmm(by_qkv[1], by_products.mT, qkv[0], beta=0, alpha=scale, out=by_qkv[1])
            found.view(-1, units).index_copy_(0, part.store_qkv, by_qkv.view(-1, units))
        found[_tokens(ctx.layout) : count] = 0
        return found[:count], None, None, None
