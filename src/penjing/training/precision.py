"""The number format of matrix products while learning. Weights, sums and losses stay in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from penjing.core.machine import Machine


def chosen(precision: str) -> str:
    """Return "f32" or "bf16" for "auto": bf16 where the GPU, or else this processor, is quick at it."""
    if precision != "auto":
        return precision
    quick = torch.cuda.is_bf16_supported(including_emulation=False) if torch.cuda.is_available() else Machine.here().bf16
    return "bf16" if quick else "f32"


def products(precision: str) -> AbstractContextManager[None]:
    """Return the block in which torch multiplies matrices in `precision` ("f32" or "bf16")."""
    block: AbstractContextManager[None] = torch.autocast("cuda" if torch.cuda.is_available() else "cpu", torch.bfloat16, enabled=precision == "bf16")
    return block
