"""Layers that make states of tokens into states of tokens, each with a norm around a way past it (He et al. 2016): recurrent, convolved, averaged.

A token's state never depends on padding, nor on the texts beside its own. Knows no ids and no files.

Shapes: B texts, T tokens of the longest, H hidden units.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

KERNEL = 5
"""Tokens that a convolution sees at once."""


class Recurrent(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """An LSTM (Hochreiter and Schmidhuber 1997) or a GRU (Cho et al. 2014); of two directions, each has half of the units."""

    def __init__(self, kind: str, width: int, bidirectional: bool) -> None:
        super().__init__()
        units = width // 2 if bidirectional else width
        made = {"lstm": nn.LSTM, "gru": nn.GRU}[kind]
        self.onward = made(width, units, batch_first=True)
        self.back = made(width, units, batch_first=True) if bidirectional else None

    def forward(self, state_BTH: Any, mask_BT: Any) -> Any:
        found = self.onward(state_BTH)[0]
        if self.back is None:
            return found
        place_BTH = _mirrored(mask_BT)[:, :, None].expand_as(state_BTH)
        back = self.back(state_BTH.gather(1, place_BTH))[0]
        return torch.cat([found, back.gather(1, place_BTH[:, :, : back.shape[2]])], dim=2)


def _mirrored(mask_BT: Any) -> Any:
    """Return (B, T) where each token goes when the tokens of a text, and not its padding, are turned round."""
    place_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    length_B1 = mask_BT.sum(1, keepdim=True)
    return torch.where(place_T < length_B1, length_B1 - 1 - place_T, place_T)


class Convolved(nn.Module):  # type: ignore[misc]
    """A gated convolution over neighbours (Dauphin et al. 2017), written as one product over the states that it sees."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.window = nn.Linear(KERNEL * width, 2 * width)

    def forward(self, state_BTH: Any, mask_BT: Any) -> Any:
        tokens, side = state_BTH.shape[1], KERNEL // 2
        around = functional.pad(state_BTH * mask_BT[:, :, None].to(state_BTH.dtype), (0, 0, side, side))
        seen = torch.cat([around[:, i : i + tokens] for i in range(KERNEL)], dim=2)
        return functional.glu(self.window(seen), dim=2)


class Averaged(nn.Module):  # type: ignore[misc]
    """A layer of units over the mean of a text's states, which each of its tokens is given (Iyyer et al. 2015): order counts for nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.units = nn.Linear(width, width)

    def forward(self, state_BTH: Any, mask_BT: Any) -> Any:
        mask_BT1 = mask_BT[:, :, None].to(state_BTH.dtype)
        mean_B1H = (state_BTH * mask_BT1).sum(1, keepdim=True) / mask_BT1.sum(1, keepdim=True)
        return functional.gelu(self.units(mean_B1H)).expand_as(state_BTH)


class Layer(nn.Module):  # type: ignore[misc]
    """One of them, what it leaves out while learning, the way past it, and the norm."""

    def __init__(self, architecture: str, width: int, bidirectional: bool, dropout: float) -> None:
        super().__init__()
        self.inner = Recurrent(architecture, width, bidirectional) if architecture in ("lstm", "gru") else _OTHERS[architecture](width)
        # The mean of the tokens takes the place of their own states; anything else is added to them.
        self.passes = architecture != "mlp"
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)

    def forward(self, state_BTH: Any, mask_BT: Any) -> Any:
        found = self.dropout(self.inner(state_BTH, mask_BT))
        return self.norm(state_BTH + found if self.passes else found)


_OTHERS: dict[str, Any] = {"cnn": Convolved, "mlp": Averaged}
