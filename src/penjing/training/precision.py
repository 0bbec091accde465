"""The number format of matrix products while learning. Weights, sums and losses stay in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from penjing.core.machine import Machine


def chosen(precision: str) -> str:
    """Return "f32" or "bf16" for "auto": bf16 where this processor is quick at it."""
    if precision == "auto":
        return "bf16" if Machine.here().bf16 else "f32"
    return precision


def products(precision: str) -> AbstractContextManager[None]:
    """Return the block in which torch multiplies matrices in `precision` ("f32" or "bf16")."""
    block: AbstractContextManager[None] = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    return block
