"""The packed way computes what the body's own code computes, forwards and back, whatever lies beside a text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

import tiny
from penjing.core.types import Ragged
from penjing.training.texts import packed
from penjing.training.texts.attention import recurring
from penjing.training.texts.packed import Packed, Padded, packs, pooled, reader


def texts(*lengths: int) -> Ragged:
    random = np.random.default_rng(1)
    return Ragged.of([random.integers(5, 50, length) for length in lengths], np.int32)


@pytest.mark.parametrize("name", tiny.FAMILIES)
def test_states_and_gradients_are_those_of_the_body(name: str) -> None:
    body, ids = tiny.body(name).eval(), texts(3, 17, 30, 16, 3, 1)
    found = {}
    for way in (Packed(body, "f32"), Padded(body, "f32")):
        body.zero_grad()
        states_NH = way(ids)
        pooled(states_NH, ids.lengths).square().sum().backward()
        found[type(way)] = states_NH.detach(), {n: p.grad.clone() for n, p in body.named_parameters() if p.grad is not None}
    ours, theirs = found[Packed], found[Padded]
    assert packs(body)
    assert torch.allclose(ours[0], theirs[0], atol=1e-5)
    assert ours[1].keys() == theirs[1].keys()
    for name, gradient in theirs[1].items():
        # A key's bias moves no softmax: its gradient is rounding.
        assert torch.allclose(ours[1][name], gradient, atol=2e-5, rtol=1e-4), name


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_text_is_read_alike_whatever_lies_beside_it(precision: str) -> None:
    way, ids = Packed(tiny.body().eval(), precision), texts(9, 30, 4, 4, 29)
    with torch.no_grad():
        together = pooled(way(ids), ids.lengths)
        alone = torch.cat([pooled(way(ids.take(np.array([i]))), ids.lengths[[i]]) for i in range(5)])
    assert torch.allclose(together, alone, atol=1e-6 if precision == "f32" else 0.02)


def test_bf16_is_near_and_learns_in_float32() -> None:
    body, ids = tiny.body().eval(), texts(20, 30, 7)
    with torch.no_grad():
        exact, rough = pooled(Packed(body, "f32")(ids), ids.lengths), pooled(Packed(body, "bf16")(ids), ids.lengths)
    assert 0 < float((exact - rough).abs().max()) < 0.03
    pooled(Packed(body, "bf16")(ids), ids.lengths).sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in body.parameters() if p.grad is not None)


def test_causal_attention_sees_nothing_behind_a_token() -> None:
    way, ids = Packed(tiny.body().eval(), "f32", causal=True), texts(12, 5)
    changed = Ragged(ids.values.copy(), ids.offsets)
    changed.values[8] = 49 - changed.values[8] % 5
    with torch.no_grad():
        before, after = way(ids), way(changed)
    assert torch.equal(before[:8], after[:8])
    assert not torch.allclose(before[8:12], after[8:12])


def test_checkpointing_gives_the_same_gradients_and_keeps_less() -> None:
    gradients, kept = [], []
    for checkpointing in (False, True):
        body, ids = tiny.body().eval(), texts(30, 30, 8)
        torch.manual_seed(3)
        held: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor, held=held: (held.append(tensor.nbytes), tensor)[1], lambda tensor: tensor):
            states_NH = Packed(body, "f32", dropout=0.2, checkpointing=checkpointing)(ids)
        states_NH.square().sum().backward()
        gradients.append(body.embeddings.word_embeddings.weight.grad)
        kept.append(sum(held))
    assert torch.equal(*gradients)
    assert kept[1] < kept[0] / 2


def test_dropout_leaves_out_the_share_that_is_asked_for_and_nothing_when_answering() -> None:
    body, ids = tiny.body().eval(), texts(30, 30)
    way = Packed(body, "f32", dropout=0.25)
    left = way._left(torch.Size([1000, 100]), np.random.default_rng(0))
    assert float((left == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(left.mean()) == pytest.approx(1, abs=0.02)
    torch.manual_seed(0)
    drawn = [way(ids) for _ in range(2)]
    assert not torch.equal(*drawn)
    torch.manual_seed(0)
    assert torch.equal(way(ids), drawn[0])
    with torch.no_grad():
        assert torch.equal(way(ids), Packed(body, "f32")(ids))


def test_other_families_are_read_in_rectangles() -> None:
    torch.manual_seed(0)
    config = transformers.DistilBertConfig(vocab_size=50, dim=32, n_layers=1, n_heads=4, hidden_dim=48, max_position_embeddings=40)
    body = transformers.DistilBertModel(config).eval()
    ids = texts(4, 9)
    assert isinstance(reader(body, "f32"), Padded)
    with torch.no_grad():
        assert torch.allclose(
            reader(body, "f32")(ids)[4:], body(input_ids=torch.from_numpy(ids[1].astype(np.int64))[None]).last_hidden_state[0], atol=1e-5
        )
    with pytest.raises(ValueError, match="rectangles"):
        reader(body, "f32", dropout=0.1)


def test_a_body_that_computes_something_else_is_not_packed() -> None:
    body = tiny.body().eval()
    body.encoder.layer[0].intermediate.register_forward_hook(lambda module, given, found: found * 2)
    assert not packs(body)


def test_nothing_stays_behind_on_the_processor_when_the_body_is_on_another_device() -> None:
    """Tensors of the device "meta" hold nothing, and refuse to be put together with any that are on the processor."""
    body, ids = tiny.body().eval().to("meta"), texts(20, 30, 7, 1)
    for way in (Packed(body, "bf16", causal=True, dropout=0.1, checkpointing=True), Packed(body, "f32")):
        found_BH = pooled(way(ids), ids.lengths)
        assert found_BH.device.type == "meta"
        found_BH.sum().backward()
        assert body.encoder.layer[0].attention.self.query.weight.grad.device.type == "meta"


def test_rows_that_fill_up_to_a_usual_size_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for apart in (16, 1):
        monkeypatch.setattr(packed, "_APART", apart)
        body, ids = tiny.body().eval(), texts(9, 30, 4, 12)
        states_NH = Packed(body, "bf16")(ids)
        pooled(states_NH, ids.lengths).square().sum().backward()
        found.append((states_NH.detach(), [p.grad for p in body.parameters() if p.grad is not None]))
    (filled, filled_by), (plain, plain_by) = found
    assert len(filled) == 55
    assert torch.allclose(filled.float(), plain.float(), atol=0.02)
    assert all(torch.allclose(a, b, atol=0.02, rtol=0.05) for a, b in zip(filled_by, plain_by, strict=True))


def test_few_sizes_of_products_occur() -> None:
    sizes = {recurring(count, 16) for count in range(1, 8193)}
    assert len(sizes) < 200
    assert all(recurring(count, 16) - count <= max(15, count / 32) for count in range(1, 8193))
