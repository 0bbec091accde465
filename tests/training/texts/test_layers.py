"""Each layer computes what its paper says, and knows nothing of padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from penjing.training.texts.layers import KERNEL, Averaged, Convolved, Layer, Recurrent

WIDTH, LENGTHS = 12, [7, 1, 4]


@pytest.fixture(name="texts")
def texts_fixture() -> tuple[Any, Any]:
    torch.manual_seed(0)
    mask_BT = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    return torch.randn(len(LENGTHS), max(LENGTHS), WIDTH), mask_BT


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_two_directions_are_those_of_torch_over_texts_of_their_own_lengths(kind: str, texts: tuple[Any, Any]) -> None:
    state_BTH, mask_BT = texts
    ours = Recurrent(kind, WIDTH, bidirectional=True)
    theirs = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](WIDTH, WIDTH // 2, batch_first=True, bidirectional=True)
    onward, back = ours.onward.state_dict(), ours.back.state_dict()
    theirs.load_state_dict(onward | {f"{name}_reverse": tensor for name, tensor in back.items()})
    packed = pack_padded_sequence(state_BTH, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    with torch.no_grad():
        expected_BTH, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
        found_BTH = ours(state_BTH, mask_BT)
    assert torch.allclose(found_BTH[mask_BT.bool()], expected_BTH[mask_BT.bool()], atol=1e-6)


def test_a_convolution_is_that_of_torch_over_texts_that_end_in_nothing(texts: tuple[Any, Any]) -> None:
    state_BTH, mask_BT = texts
    ours = Convolved(WIDTH)
    kernel_OHK = ours.window.weight.reshape(2 * WIDTH, KERNEL, WIDTH).transpose(1, 2)
    for text, length in enumerate(LENGTHS):
        alone_1HT = state_BTH[text : text + 1, :length].transpose(1, 2)
        expected_TH = functional.glu(functional.conv1d(alone_1HT, kernel_OHK, ours.window.bias, padding=KERNEL // 2)[0].T, dim=1)
        assert torch.allclose(ours(state_BTH, mask_BT)[text, :length], expected_TH, atol=1e-6)


def test_the_mean_of_a_text_is_of_its_own_tokens(texts: tuple[Any, Any]) -> None:
    state_BTH, mask_BT = texts
    ours = Averaged(WIDTH)
    for text, length in enumerate(LENGTHS):
        expected_H = functional.gelu(ours.units(state_BTH[text, :length].mean(0)))
        assert torch.allclose(ours(state_BTH, mask_BT)[text], expected_H.expand(max(LENGTHS), -1), atol=1e-6)


@pytest.mark.parametrize("architecture", ["lstm", "gru", "cnn", "mlp"])
def test_nothing_of_what_padding_holds_is_seen(architecture: str, texts: tuple[Any, Any]) -> None:
    state_BTH, mask_BT = texts
    layer = Layer(architecture, WIDTH, True, 0.0).eval()
    other_BTH = torch.where(mask_BT.bool()[:, :, None], state_BTH, torch.full_like(state_BTH, 9.0))
    found = [layer(state, mask_BT)[mask_BT.bool()].detach().numpy() for state in (state_BTH, other_BTH)]
    assert np.array_equal(*found)
